// The documentation: Swagger UI on this service's own description of itself.

window.SwaggerUIBundle({
  url: new URL("openapi.json", document.baseURI).href,
  dom_id: "#swagger-ui",
  layout: "BaseLayout",
  deepLinking: true,
  showExtensions: true,
  showCommonExtensions: true,
  validatorUrl: null, // by default it sends the address of the description to a service of its makers
  oauth2RedirectUrl: new URL("docs/oauth2-redirect", document.baseURI).href,
});
