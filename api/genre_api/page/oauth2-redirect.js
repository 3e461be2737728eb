// Where an authorisation server would send the browser back to; Swagger UI's script fails in a window opened by hand.

if (window.opener?.swaggerUIRedirectOauth2) await import("../docs/oauth2-redirect.js");
