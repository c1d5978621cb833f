import type { Operations } from './operation.js';
import { count, flag, list, named, object, page, text } from './schemas.js';

const REVOKED = object({ revoked: count });

export const TOKEN_OPERATIONS: Operations = {
  'GET /api/scopes': {
    action: 'anybody',
    summary: 'The scopes that there are, and what each is for.',
    status: 200,
    answer: { type: 'object', additionalProperties: text },
  },
  'POST /api/authentications': {
    action: 'self',
    summary: 'Makes a token. It never does more than the credential that makes it.',
    body: object({
      note: { type: 'string', description: 'Its name, unique among those of the owner.' },
      'scopes?': { type: ['array', 'null'], items: text, description: 'null and [] mean all.' },
      'user?': { type: ['string', 'null'], description: 'An organization that shall own it.' },
      'max-age?': { type: ['integer', 'null'], description: 'Seconds; a year unless given.' },
      'fail-if-exists?': flag,
      'restrict?': named('Restrict'),
      'hostname?': text,
      'note_url?': text,
      'strength?': text,
    }),
    status: 200,
    answer: named('NewToken'),
  },
  'GET /api/authentications': {
    action: 'self',
    summary: 'The tokens of the caller.',
    query: { org: 'Those of an organization instead.' },
    status: 200,
    answer: list(named('Token')),
  },
  'GET /api/authentications/org/:organization': {
    action: 'own tokens',
    summary: 'The tokens of an organization.',
    status: 200,
    answer: list(named('Token')),
  },
  'GET /api/authentication': {
    action: 'self',
    summary: 'The token that came with the request.',
    status: 200,
    answer: named('Token'),
  },
  'DELETE /api/authentications': {
    action: 'self',
    summary: 'Revokes the token that came with the request.',
    status: 201,
    answer: REVOKED,
  },
  'DELETE /api/authentications/all': {
    action: 'self',
    summary: 'Revokes every token of the caller.',
    status: 201,
    answer: REVOKED,
  },
  'DELETE /api/authentications/org/:organization/all': {
    action: 'own tokens',
    summary: 'Revokes every token of an organization.',
    status: 201,
    answer: REVOKED,
  },
  'DELETE /api/authentications/name/*name': {
    action: 'self',
    summary: 'Revokes a token by its name, and those that it made.',
    status: 201,
    answer: REVOKED,
  },
  'DELETE /api/authentications/org/:organization/name/*name': {
    action: 'own tokens',
    summary: 'Revokes a token of an organization by its name.',
    status: 201,
    answer: REVOKED,
  },
  'GET /api/users/:login/tokens': {
    action: 'superuser',
    summary: 'The tokens of an account; one’s own too.',
    status: 200,
    answer: page(named('Token')),
  },
  'DELETE /api/users/:login/tokens': {
    action: 'superuser',
    summary: 'Revokes every token of an account.',
    status: 200,
    answer: REVOKED,
  },
  'PATCH /api/tokens/:id': {
    action: 'self',
    summary: 'Renames a token.',
    body: object({ name: text }),
    status: 200,
    answer: named('Token'),
  },
  'DELETE /api/tokens/:id': { action: 'self', summary: 'Revokes a token by its id.', status: 200, answer: REVOKED },
};
