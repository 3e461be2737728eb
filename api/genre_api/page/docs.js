// The documentation: Swagger UI with the OpenAPI document of this service.

window.SwaggerUIBundle({
  url: new URL("openapi.json", document.baseURI).href,
  dom_id: "#swagger-ui",
  layout: "BaseLayout",
  deepLinking: true,
  showExtensions: true,
  showCommonExtensions: true,
  validatorUrl: null, // by default Swagger UI sends the address of the document to its makers
  oauth2RedirectUrl: new URL("docs/oauth2-redirect", document.baseURI).href,
});
