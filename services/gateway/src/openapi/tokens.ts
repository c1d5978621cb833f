import type { Operations } from './operation.js';
import { count, flag, list, named, object, page, text } from './schemas.js';

const REVOKED = object({ revoked: count });
const LEAKED = {
  type: 'object',
  properties: {
    token: { type: 'string', description: 'The token, or a text that holds it; at most 1,000 characters.' },
    url: { type: ['string', 'null'], description: 'Where it was found, by http or https; at most 2,000 characters.' },
    source: { type: ['string', 'null'], description: 'What kind of place that is; at most 100 characters.' },
    type: { description: 'Not looked at, as all that is not named here.' },
  },
  required: ['token'],
} as const;

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
  'POST /api/leaked-tokens': {
    action: 'secret',
    summary: 'Revokes tokens that somebody has found where they do not belong.',
    detail:
      'For scanners of secrets, and for anybody: whoever holds a token may end it, without signing in. The body is a list, or the list in an object as `tokens`; at most 100 tokens and 256 KiB, 30 times a minute from one address. Whom they belong to is told where they were found. The answer is the same whether there are such tokens, and comes when no gateway takes them any more; asking again is harmless.',
    body: {
      oneOf: [
        { type: 'array', items: LEAKED, maxItems: 100 },
        {
          type: 'object',
          properties: { tokens: { type: 'array', items: LEAKED, maxItems: 100 } },
          required: ['tokens'],
        },
      ],
    },
    status: 200,
    answer: object({
      received: { type: 'integer', minimum: 0, description: 'How many entries there were.' },
      malformed: {
        type: 'array',
        items: count,
        description: 'Which of them, from 0, hold no whole token, by its form alone: maybe cut when it was copied.',
      },
    }),
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
