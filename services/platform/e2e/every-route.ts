/** Somebody who asks in the walk. */
export type Walker = 'last' | 'root' | 'alice' | 'bob' | 'nobody' | 'cookie' | 'password';

/** One request that succeeds, for a route of the API. */
export interface Step {
  /** `METHOD /path`, as the router has it. */
  readonly route: string;
  /** The path below `/api`, with what earlier steps have learned as `{name}`. */
  readonly at: string;
  readonly by: Walker;
  readonly body?: object;
  /** A package of its own is sent, as a form. */
  readonly sends?: 'package';
  /** The status, where this product answers an error. */
  readonly refused?: number;
  /** How many events it writes: 1 for a change and 0 for a read, unless said otherwise. */
  readonly events?: number;
  /** What later steps need of the answer, by the name that they know it under. */
  readonly learn?: Readonly<Record<string, string>>;
}

const get = (route: string, at: string, by: Walker = 'alice', more: Partial<Step> = {}): Step => ({
  route: `GET /api${route}`,
  at,
  by,
  ...more,
});
const change = (
  method: string,
  route: string,
  at: string,
  by: Walker,
  body?: object,
  more: Partial<Step> = {},
): Step => ({
  route: `${method} /api${route}`,
  at,
  by,
  ...(body === undefined ? {} : { body }),
  ...more,
});

/** What a file is called in the walk; its bytes are `walked`'s. */
export const WALKED = { package: 'walked', version: '1.0', basename: 'noarch/walked-1.0-0.conda' };
const FILE = `alice/walked/1.0/${WALKED.basename}`;
const DIST = ':owner/:package/:version/*basename';
const STAGED = { distribution_type: 'conda', attrs: { subdir: 'noarch' }, channels: [], description: null };

/**
 * Every route of the API, each asked so that it does what it is for, in an order in which it can. A walk through all of them
 * is what its description and its audit trail are held against.
 */
export const STEPS: readonly Step[] = [
  get('', '', 'nobody'),
  get('/openapi.json', '/openapi.json', 'nobody'),
  get('/docs', '/docs', 'nobody'),
  get('/authentication-type', '/authentication-type', 'nobody'),
  get('/scopes', '/scopes', 'nobody'),
  get('/.well-known/openid-configuration', '/.well-known/openid-configuration', 'nobody', {
    // Over plain http there is no login by a browser.
    refused: 404,
  }),
  get('/sign-up', '/sign-up', 'nobody'),

  // Accounts and sessions.
  change('POST', '/users', '/users', 'root', { login: 'walker', password: '{newPassword}', email: 'w@example.org' }),
  get('/users', '/users?q=walk&limit=5', 'root'),
  get('/users/:login', '/users/walker', 'root'),
  change('PATCH', '/users/:login', '/users/walker', 'root', { name: 'Walker', disabled: true }),
  change('POST', '/users/:login/password', '/users/walker/password', 'root', { password: '{otherPassword}' }),
  change('POST', '/session', '/session', 'nobody', { login: 'bob', password: '{bobsPassword}' }),
  get('/user', '/user', 'cookie'),
  change('DELETE', '/session', '/session', 'cookie'),
  change('POST', '/session', '/session', 'nobody', { login: 'bob', password: '{bobsPassword}' }),
  get('/sessions', '/sessions', 'cookie', { learn: { session: 'items.0.id' } }),
  change('DELETE', '/sessions/:id', '/sessions/{session}', 'bob'),
  change('POST', '/session', '/session', 'nobody', { login: 'bob', password: '{bobsPassword}' }),
  change('DELETE', '/sessions', '/sessions', 'bob'),
  get('/user/:login', '/user/alice', 'bob'),
  change(
    'POST',
    '/invitations',
    '/invitations',
    'root',
    { email: 'i@example.org' },
    { learn: { invitation: 'invitation' } },
  ),
  change('POST', '/sign-up', '/sign-up', 'nobody', {
    login: 'invited',
    password: '{newPassword}',
    email: 'i@example.org',
    invitation: '{invitation}',
  }),
  change('POST', '/invitations', '/invitations', 'root', { email: 'j@example.org' }, { learn: { invitationId: 'id' } }),
  get('/invitations', '/invitations', 'root'),
  change('DELETE', '/invitations/:id', '/invitations/{invitationId}', 'root'),

  // Organizations and groups.
  change('POST', '/organizations', '/organizations', 'alice', { login: 'acme', name: 'Acme' }),
  change('PATCH', '/organizations/:login', '/organizations/acme', 'alice', { name: 'Acme, Inc.' }),
  get('/user/orgs', '/user/orgs'),
  get('/users/:login/orgs', '/users/alice/orgs'),
  change('POST', '/group/:organization/:group', '/group/acme/devs', 'alice', { perms: 'write' }),
  change('PATCH', '/group/:organization/:group', '/group/acme/devs', 'alice', { permission: 'read' }),
  get('/groups', '/groups'),
  get('/groups/:organization', '/groups/acme'),
  get('/group/:organization/:group', '/group/acme/devs'),
  change('PUT', '/group/:organization/:group/members/:login', '/group/acme/devs/members/bob', 'alice'),
  get('/group/:organization/:group/members', '/group/acme/devs/members'),
  get('/group/:organization/:group/members/:login', '/group/acme/devs/members/bob'),
  get('/inbox', '/inbox', 'bob', { learn: { message: 'items.0.id' } }),
  // A message is read or thrown away by its reader alone: nothing that anybody else could want to know.
  change('POST', '/inbox/:id/read', '/inbox/{message}/read', 'bob', undefined, { events: 0 }),
  change('DELETE', '/inbox/:id', '/inbox/{message}', 'bob', undefined, { events: 0 }),
  change('POST', '/package/:owner/:package', '/package/acme/tools', 'alice', {
    public: false,
    public_attrs: { summary: 's' },
  }),
  change('PUT', '/group/:organization/:group/packages/:package', '/group/acme/devs/packages/tools', 'alice'),
  get('/group/:organization/:group/packages', '/group/acme/devs/packages'),
  get('/can-i', '/can-i?as=bob&verb=read&resource=acme/tools'),
  change('DELETE', '/group/:organization/:group/packages/:package', '/group/acme/devs/packages/tools', 'alice'),
  change('DELETE', '/group/:organization/:group/members/:login', '/group/acme/devs/members/bob', 'alice'),
  change('DELETE', '/group/:organization/:group', '/group/acme/devs', 'alice'),

  // Packages, releases and files.
  change('POST', '/package/:owner/:package', '/package/alice/walked', 'alice', {
    public: true,
    public_attrs: { summary: 's' },
  }),
  change('PATCH', '/package/:owner/:package', '/package/alice/walked', 'alice', { public_attrs: { summary: 't' } }),
  change('POST', '/release/:owner/:package/:version', '/release/alice/walked/1.0', 'alice', { summary: 's' }),
  change('PATCH', '/release/:owner/:package/:version', '/release/alice/walked/1.0', 'alice', {
    public_attrs: { a: 1 },
  }),
  change('POST', `/stage/${DIST}`, `/stage/${FILE}`, 'alice', STAGED, {
    // Until it is committed an upload has changed nothing.
    events: 0,
    learn: { stage: 'dist_id', ticket: 'post_url' },
  }),
  change('POST', '/-/upload/:ticket', '{ticket}', 'nobody', undefined, { events: 0 }),
  change('POST', `/commit/${DIST}`, `/commit/${FILE}`, 'alice', { dist_id: '{stage}' }),
  change('POST', '/v1/upload/:channel', '/v1/upload/alice', 'alice', undefined, { sends: 'package' }),
  get('/release/:owner/:package/:version', '/release/alice/walked/1.0'),
  get(`/dist/${DIST}`, `/dist/${FILE}`, 'bob'),
  get(`/download/${DIST}`, `/download/${FILE}`, 'bob'),
  get('/package/:owner/:package', '/package/alice/walked', 'nobody'),
  get('/package/:owner/:package/files', '/package/alice/walked/files', 'nobody'),
  get('/packages', '/packages'),
  get('/packages/:owner', '/packages/alice', 'bob'),
  get('/search', '/search?name=walk', 'nobody'),
  get('/channels/:channel/generation', '/channels/alice/generation'),

  // Labels and copies.
  change('POST', '/channels/:owner/*label', '/channels/alice/dev', 'alice', {
    package: 'walked',
    version: null,
    basename: null,
  }),
  get('/channels/:owner', '/channels/alice', 'nobody'),
  get('/channels/:owner/*label', '/channels/alice/dev', 'nobody'),
  change('POST', '/channels/:owner/*label', '/channels/alice/dev/copy/prod', 'alice'),
  change('POST', '/channels/:owner/*label', '/channels/alice/prod/lock', 'alice'),
  change('DELETE', '/channels/:owner/*label', '/channels/alice/prod/lock', 'alice'),
  change('DELETE', '/channels/:owner/*label', '/channels/alice/prod', 'alice', {
    package: null,
    version: null,
    basename: null,
  }),
  ...(['POST', 'PUT', 'PATCH'] as const).flatMap((method) => [
    change(method, '/copy/package/:owner/:package/:version', '/copy/package/alice/walked/1.0/', 'alice', {
      to_owner: 'acme',
      from_channel: 'main',
      to_channel: `whole-${method.toLowerCase()}`,
    }),
    change(method, `/copy/package/${DIST}`, `/copy/package/${FILE}`, 'alice', {
      to_owner: null,
      from_channel: 'main',
      to_channel: `file-${method.toLowerCase()}`,
    }),
  ]),

  // Who may read, and who else may do something.
  change('PUT', '/packages/:owner/:package/collaborators/:login', '/packages/alice/walked/collaborators/bob', 'alice', {
    permission: 'read',
  }),
  get('/packages/:owner/:package/collaborators', '/packages/alice/walked/collaborators'),
  change(
    'DELETE',
    '/packages/:owner/:package/collaborators/:login',
    '/packages/alice/walked/collaborators/bob',
    'alice',
  ),
  change('PATCH', '/package/:owner/:package', '/package/alice/walked', 'alice', { visibility: 'authenticated' }),
  change('POST', '/packages/:owner/visibility', '/packages/alice/visibility', 'alice', {
    packages: ['walked'],
    visibility: 'private',
  }),
  change('PUT', '/packages/:owner/default-visibility', '/packages/acme/default-visibility', 'alice', {
    visibility: 'private',
  }),
  change('POST', '/package/:owner/:package', '/package/alice/wandering', 'alice', { public: true }),
  change('POST', '/package/:owner/:package/transfer', '/package/alice/wandering/transfer', 'alice', { to: 'acme' }),

  // Notices.
  change(
    'POST',
    '/:channel/notices',
    '/alice/notices',
    'alice',
    { message: 'Closed on Sunday.', level: 'info', expires_at: '2035-11-27T03:52:15+00:00' },
    { learn: { notice: 'id' } },
  ),
  change('PATCH', '/:channel/notices/:id', '/alice/notices/{notice}', 'alice', { level: 'warning' }),
  change('POST', '/:channel/notices/:id/publish', '/alice/notices/{notice}/publish', 'alice'),
  get('/:channel/notices', '/alice/notices?limit=5', 'nobody'),
  get('/:channel/notices/:id', '/alice/notices/{notice}', 'nobody'),
  change('POST', '/:channel/notices/:id/archive', '/alice/notices/{notice}/archive', 'alice'),
  change('DELETE', '/:channel/notices/:id', '/alice/notices/{notice}', 'alice'),

  // Tokens.
  change(
    'POST',
    '/authentications',
    '/authentications',
    'password',
    { note: 'one', scopes: ['all'] },
    { learn: { one: 'id' } },
  ),
  change('POST', '/authentications', '/authentications', 'alice', {
    note: 'two',
    scopes: ['conda:download'],
    restrict: { channels: ['alice'], packages: ['walk*'], cidrs: ['127.0.0.0/8'], uses: 3 },
  }),
  change('POST', '/authentications', '/authentications', 'alice', { note: 'ours', scopes: ['all'], user: 'acme' }),
  get('/authentication', '/authentication'),
  get('/authentications', '/authentications'),
  get('/authentications/org/:organization', '/authentications/org/acme'),
  get('/users/:login/tokens', '/users/alice/tokens', 'root'),
  change('PATCH', '/tokens/:id', '/tokens/{one}', 'alice', { name: 'uno' }),
  change('DELETE', '/tokens/:id', '/tokens/{one}', 'alice'),
  change('DELETE', '/authentications/name/*name', '/authentications/name/two', 'alice'),
  change('DELETE', '/authentications/org/:organization/name/*name', '/authentications/org/acme/name/ours', 'alice'),
  change('POST', '/authentications', '/authentications', 'alice', { note: 'ours', scopes: ['all'], user: 'acme' }),
  change('DELETE', '/authentications/org/:organization/all', '/authentications/org/acme/all', 'alice'),
  change('DELETE', '/users/:login/tokens', '/users/bob/tokens', 'root'),
  change(
    'POST',
    '/authentications',
    '/authentications',
    'alice',
    { note: 'leaked', scopes: ['conda:download'] },
    { learn: { leaked: 'token' } },
  ),
  change('POST', '/leaked-tokens', '/leaked-tokens', 'nobody', {
    tokens: [{ token: '{leaked}', url: 'https://code.example/ci.yml', source: 'content' }],
  }),

  // Removals.
  change('DELETE', `/dist/${DIST}`, `/dist/${FILE}`, 'alice'),
  change('DELETE', '/release/:owner/:package/:version', '/release/alice/walked/1.0', 'alice'),
  change('DELETE', '/package/:owner/:package', '/package/alice/walked', 'alice'),
  get('/audit', '/audit?limit=100', 'root'),
  change(
    'DELETE',
    '/organizations/:login',
    '/organizations/acme',
    'alice',
    { confirm: 'acme', delete_packages: true },
    {
      // One of the packages, one of the organization: two services, and a transaction in each.
      events: 2,
    },
  ),
  change(
    'POST',
    '/authentications',
    '/authentications',
    'password',
    { note: 'last', scopes: ['all'] },
    { learn: { last: 'token' } },
  ),
  change('DELETE', '/authentications', '/authentications', 'alice'),
  change('DELETE', '/authentications/all', '/authentications/all', 'last'),
];
