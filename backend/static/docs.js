// Shows openapi.json by Swagger UI, in the light or dark that the reader prefers.
"use strict";

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

window.SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  defaultModelExpandDepth: 3,
  defaultModelRendering: "example",
  displayRequestDuration: true,
  validatorUrl: null, // it would ask another host
});

// Swagger UI gives its fields and its copying buttons no names, and lets no key scroll its examples.
function makeAccessible() {
  for (const field of document.querySelectorAll("#docs :is(input, select, textarea):not([aria-label])")) {
    if (field.labels?.length) continue;
    const parameter = field.closest("[data-param-name]")?.dataset.paramName;
    const status = field.closest(".response")?.dataset.code;
    const place = parameter ?? (status ? `Response ${status}` : "Request body");
    field.setAttribute("aria-label", field.closest(".examples-select") ? `Example: ${place}` : place);
  }
  for (const button of document.querySelectorAll("#docs .copy-to-clipboard button:not([aria-label])")) {
    button.setAttribute("aria-label", "Copy");
  }
  for (const example of document.querySelectorAll("#docs pre.microlight:not([tabindex])")) example.tabIndex = 0;
}
new MutationObserver(makeAccessible).observe(document.getElementById("docs"), { childList: true, subtree: true });
