import type { ServerResponse } from 'node:http';
import { html, type Markup } from './html.js';

/**
 * Nothing runs, nothing is loaded but our style, nothing is sent, nobody frames us: what a publisher wrote stays text even
 * if an escape were ever forgotten. What is shown depends on who asks, so it is kept by nobody.
 */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy':
    "default-src 'none'; style-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'private, no-store',
  Vary: 'Accept, Cookie, Authorization',
};

/** A whole page around its content. */
export function pageOf(title: string, content: Markup): string {
  return String(html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · Vivarium</title>
<link rel="stylesheet" href="/-/style.css">
</head>
<body>
<header><a href="/">Vivarium</a></header>
<main>
<h1>${title}</h1>
${content}
</main>
</body>
</html>
`);
}

/** Answers 200 with a page; a HEAD gets the same head. */
export function sendPage(response: ServerResponse, title: string, content: Markup): void {
  const body = Buffer.from(pageOf(title, content));
  response.writeHead(200, { ...PAGE_HEADERS, 'Content-Length': body.byteLength });
  response.end(body);
}
