// Shows the description of the admin API. Calls that are tried out go under the dashboard's session where there is one,
// which needs its CSRF token, or under a token that is typed in and kept nowhere.
'use strict';

let csrf;

async function csrfToken() {
  csrf ??= fetch('/api/admin/session').then((answer) => (answer.ok ? answer.json() : {})).then((session) => session.csrf);
  return csrf;
}

window.addEventListener('DOMContentLoaded', () => {
  window.SwaggerUIBundle({
    url: '/api/openapi.json',
    dom_id: '#api',
    deepLinking: true,
    docExpansion: 'none',
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    persistAuthorization: false,
    validatorUrl: null,
    async requestInterceptor(request) {
      const reads = ['GET', 'HEAD'].includes((request.method ?? 'GET').toUpperCase());
      if (!reads && !request.headers.Authorization) {
        const token = await csrfToken();
        if (token) request.headers['x-csrf-token'] = token;
      }
      return request;
    },
  });
});
