import type { ServerResponse } from 'node:http';
import { html, type Markup } from '../web/html.js';
import { PAGE_HEADERS, pageOf } from '../web/page.js';

/**
 * Answers with a page that has a form in it. The form may go to us, and we may send its answer on to `redirectUri`: browsers
 * hold a redirect against the policy of the page as well. They tell us where the form comes from, and nobody else.
 */
export function sendFormPage(
  response: ServerResponse,
  page: { readonly status: number; readonly title: string; readonly content: Markup; readonly redirectUri: string },
): void {
  const body = Buffer.from(pageOf(page.title, page.content));
  const policy = String(PAGE_HEADERS['Content-Security-Policy']).replace(
    "form-action 'none'",
    `form-action 'self' ${new URL(page.redirectUri).origin}`,
  );
  response.writeHead(page.status, {
    ...PAGE_HEADERS,
    'Content-Security-Policy': policy,
    'Referrer-Policy': 'same-origin',
    'Content-Length': body.byteLength,
  });
  response.end(body);
}

/** Who is nobody yet signs in, for a program that waits. */
export function signInForm(form: {
  readonly program: string;
  readonly request: string;
  readonly seal: string;
  readonly login: string;
  readonly mistake: string;
}): Markup {
  return html`<p>${form.program} wants to sign in to this server. Sign in yourself first.</p>
${form.mistake === '' ? '' : html`<p role="alert"><strong>${form.mistake}</strong></p>`}
<form method="post" action="/-/login/sign-in">
<input type="hidden" name="request" value="${form.request}">
<input type="hidden" name="seal" value="${form.seal}">
<p><label>Login<br><input name="login" value="${form.login}" required autocomplete="username" autocapitalize="none" spellcheck="false"></label></p>
<p><label>Password<br><input name="password" type="password" required autocomplete="current-password"></label></p>
<p><button type="submit">Sign in</button></p>
</form>
<p><a href="/account/forgot_password">Forgot your password?</a></p>`;
}

/** Who is signed in lets the program in, or not. */
export function consentForm(form: {
  readonly program: string;
  readonly login: string;
  readonly request: string;
  readonly seal: string;
}): Markup {
  return html`<p>You are signed in as <strong>${form.login}</strong>.</p>
<p>If you have just started a login on this computer, let ${form.program} in: it gets a token that may do all that
${form.login} may do, and it shows up in the list of your tokens, where you can revoke it. If you have not, say no: somebody
may be trying to get into your account.</p>
<form method="post" action="/-/login/authorize">
<input type="hidden" name="request" value="${form.request}">
<input type="hidden" name="seal" value="${form.seal}">
<p><button type="submit" name="decision" value="allow">Let it in as ${form.login}</button>
<button type="submit" name="decision" value="deny">No</button></p>
</form>`;
}
