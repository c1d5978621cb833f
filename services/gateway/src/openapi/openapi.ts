import type { ServerResponse } from 'node:http';
import { Controller, Get, Inject, Res } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import { html, type Markup } from '../web/html.js';
import { sendPage } from '../web/page.js';
import { type DescribedOperation, OPERATIONS, openApiDocument } from './document.js';

/** The description of the API, for programs and for people. Anybody may read it. */
@Controller('api')
export class OpenApi {
  readonly #publicUrl: string;

  constructor(@Inject(PORTS) ports: RolePorts) {
    this.#publicUrl = ports.config.publicUrl;
  }

  @Get('openapi.json')
  document() {
    return openApiDocument(this.#publicUrl);
  }

  @Get('docs')
  docs(@Res() response: ServerResponse) {
    sendPage(response, 'The API', docsPage(this.#publicUrl));
  }
}

function docsPage(publicUrl: string): Markup {
  const tags = [...Map.groupBy(OPERATIONS, ({ tag }) => tag)];
  return html`<p>Send a token as <code>Authorization: token TOKEN</code>. Bodies and answers are JSON; an error is an object whose
<code>error</code> is a sentence to act on. What is hidden from you answers as what does not exist. Arrays have no pages; our
own lists have: the <code>next</code> of one is the <code>after</code> of the following. All of it for programs:
<a href="/api/openapi.json">${publicUrl}/api/openapi.json</a> (OpenAPI 3.1).</p>
${tags.map(([tag, operations]) => html`<h2>${tag}</h2>${operations.map(operationPart)}`)}`;
}

function operationPart({
  method,
  path,
  summary,
  detail,
  action,
  query = {},
  body,
  status,
}: DescribedOperation): Markup {
  const rows = Object.entries(query).map(
    ([name, text]) => html`<tr><th scope="row">?${name}</th><td>${text}</td></tr>`,
  );
  const fields = Object.entries(body?.properties ?? {}).map(([name, { description = '', type, enum: values }]) => {
    const kind = values?.join(', ') ?? (Array.isArray(type) ? type.join(' or ') : (type ?? 'object'));
    const need = body?.required?.includes(name) === true ? ', needed' : '';
    return html`<tr><th scope="row">${name}</th><td>${String(kind)}${need}. ${description}</td></tr>`;
  });
  const table = [...rows, ...fields];
  return html`<h3><code>${method} ${path.replace(/[:*](\w+)/g, '{$1}')}</code></h3>
<p>${summary} ${detail ?? ''}</p>
<p>Needs: ${action}. Answers ${status}.</p>
${table.length === 0 ? [] : [html`<table>${table}</table>`]}`;
}
