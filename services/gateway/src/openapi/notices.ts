import type { Operations } from './operation.js';
import { count, list, object, type Schema, text } from './schemas.js';

const isoTime: Schema = { type: 'string', description: 'UTC, as `2026-11-24T10:00:00.000Z`.' };
const level: Schema = { enum: ['info', 'warning', 'critical'] };
const NOTICE = object({
  id: text,
  status: { enum: ['draft', 'published', 'archived', 'deleted'] },
  level,
  message: text,
  expires_at: isoTime,
  created_at: isoTime,
  updated_at: isoTime,
});

const changing = (summary: string, status = 200) =>
  ({ action: 'admin channel', summary, status, answer: NOTICE }) as const;

export const NOTICE_OPERATIONS: Operations = {
  'GET /api/:channel/notices': {
    action: 'read channel',
    summary: 'What a channel tells its readers, the newest first; with admin also what it does not tell.',
    query: {
      status: 'draft, published, archived or deleted.',
      offset: '0 unless said.',
      limit: '20 unless said, at most 100.',
    },
    status: 200,
    answer: object({ items: list(NOTICE), total_count: count }),
  },
  'GET /api/:channel/notices/:id': {
    action: 'read channel',
    summary: 'One notice.',
    status: 200,
    answer: NOTICE,
  },
  'POST /api/:channel/notices': {
    ...changing('Makes a draft.', 201),
    body: object({ message: text, 'level?': level, expires_at: text }),
  },
  'PATCH /api/:channel/notices/:id': {
    ...changing('Changes what is given.'),
    body: object({
      'message?': text,
      'level?': level,
      'expires_at?': text,
      'status?': { enum: ['published', 'archived'] },
    }),
  },
  'POST /api/:channel/notices/:id/publish': changing('Shows it to all who read the channel. Idempotent.'),
  'POST /api/:channel/notices/:id/archive': changing('Shows it no longer. Idempotent.'),
  'DELETE /api/:channel/notices/:id': {
    action: 'admin channel',
    summary: 'Takes it away; its text stays among the deleted ones.',
    status: 204,
  },
};
