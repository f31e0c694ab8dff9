// Shows the schema of this server; nothing is asked of another host.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#page",
  deepLinking: true,
  validatorUrl: null,
  persistAuthorization: false,
  tryItOutEnabled: true,
  docExpansion: "list",
  displayRequestDuration: true,
});
