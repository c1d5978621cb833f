import type { Operations } from './operation.js';
import { anything, choices, count, flag, list, named, nullableText, object, text } from './schemas.js';

const LABEL_CHANGED = object({ 'files?': count, 'index?': choices.index });
const LABEL_PLACE = object({ 'package?': nullableText, 'version?': nullableText, 'basename?': nullableText });
const COPY = object({ 'to_owner?': nullableText, 'from_channel?': nullableText, 'to_channel?': nullableText });
const copying = (summary: string) =>
  ({ action: 'write package', summary, body: COPY, status: 200, answer: list(named('File')) }) as const;

export const PACKAGE_OPERATIONS: Operations = {
  'GET /api/search': {
    action: 'read package',
    summary: 'Packages of all channels that the caller may read, by a part of their name or summary.',
    query: {
      name: 'What to search for; `*` stands for anything.',
      type: 'A kind of file.',
      platform: 'A conda subdir.',
    },
    status: 200,
    answer: list(named('Package')),
  },
  'GET /api/packages': {
    action: 'read package',
    summary: 'The packages of the caller.',
    status: 200,
    answer: list(named('Package')),
  },
  'GET /api/packages/:owner': {
    action: 'read package',
    summary: 'The packages of a channel that the caller may read.',
    status: 200,
    answer: list(named('Package')),
  },
  'GET /api/package/:owner/:package': {
    action: 'read package',
    summary: 'A package with its files.',
    status: 200,
    answer: named('Package'),
  },
  'GET /api/package/:owner/:package/files': {
    action: 'read package',
    summary: 'The files of a package.',
    status: 200,
    answer: list(named('File')),
  },
  'POST /api/package/:owner/:package': {
    action: 'create package',
    summary: 'Makes a package; one that is there is answered as it is.',
    body: object({ 'public?': flag, 'publish?': flag, 'visibility?': choices.visibility, 'public_attrs?': anything }),
    status: 200,
    answer: named('Package'),
  },
  'PATCH /api/package/:owner/:package': {
    action: 'write package',
    summary: 'Changes what is said of a package; `visibility` changes who may read it, and needs `admin`.',
    body: object({ 'public?': flag, 'publish?': flag, 'visibility?': choices.visibility, 'public_attrs?': anything }),
    status: 200,
    answer: named('Package'),
  },
  'DELETE /api/package/:owner/:package': {
    action: 'admin package',
    summary: 'Removes a package with all its files.',
    status: 201,
    answer: named('Nothing'),
  },
  'POST /api/package/:owner/:package/transfer': {
    action: 'admin package',
    summary: 'Moves a package into another channel, with all it holds.',
    body: object({ to: text }),
    status: 200,
    answer: named('Package'),
  },
  'POST /api/packages/:owner/visibility': {
    action: 'admin package',
    summary: 'Says who may read many packages, all at once or not at all.',
    body: object({ packages: { ...list(text), maxItems: 1_000 }, visibility: choices.visibility }),
    status: 200,
    answer: object({ visibility: choices.visibility, changed: list(text), generation: count, index: choices.index }),
  },
  'PUT /api/packages/:owner/default-visibility': {
    action: 'own channel',
    summary: 'What new packages of a channel are unless said otherwise.',
    body: object({ visibility: choices.visibility }),
    status: 200,
    answer: object({ visibility: choices.visibility }),
  },
  'GET /api/packages/:owner/:package/collaborators': {
    action: 'admin package',
    summary: 'Users with rights on a package, outside any group.',
    status: 200,
    answer: list(named('Collaborator')),
  },
  'PUT /api/packages/:owner/:package/collaborators/:login': {
    action: 'admin package',
    summary: 'Adds a collaborator.',
    body: object({ 'permission?': { enum: ['read', 'write'] } }),
    status: 201,
    answer: named('Collaborator'),
  },
  'DELETE /api/packages/:owner/:package/collaborators/:login': {
    action: 'admin package',
    summary: 'Takes a collaborator’s rights.',
    status: 201,
    answer: named('Nothing'),
  },
  'GET /api/release/:owner/:package/:version': {
    action: 'read package',
    summary: 'A release with its files.',
    status: 200,
    answer: named('Release'),
  },
  'POST /api/release/:owner/:package/:version': {
    action: 'write package',
    summary: 'Makes a release.',
    body: anything,
    status: 200,
    answer: named('Release'),
  },
  'PATCH /api/release/:owner/:package/:version': {
    action: 'write package',
    summary: 'Changes what is said of a release.',
    body: object({ 'public_attrs?': anything }),
    status: 200,
    answer: named('Release'),
  },
  'DELETE /api/release/:owner/:package/:version': {
    action: 'write package',
    summary: 'Removes a release with its files.',
    status: 201,
    answer: named('Nothing'),
  },
  'GET /api/dist/:owner/:package/:version/*basename': {
    action: 'read package',
    summary: 'A file.',
    status: 200,
    answer: named('File'),
  },
  'DELETE /api/dist/:owner/:package/:version/*basename': {
    action: 'write package',
    summary: 'Removes a file.',
    status: 200,
    answer: named('File'),
  },
  'GET /api/download/:owner/:package/:version/*basename': {
    action: 'read package',
    summary: 'The bytes of a file.',
    status: 200,
    answer: 'bytes',
  },
  'POST /api/stage/:owner/:package/:version/*basename': {
    action: 'write package',
    summary: 'Begins an upload: says where the bytes go.',
    body: object({
      distribution_type: text,
      'description?': nullableText,
      'attrs?': anything,
      'dependencies?': { type: ['object', 'null'] },
      'channels?': { ...list(text), description: 'Labels; `main` if empty.' },
      'sha256?': text,
    }),
    status: 200,
    answer: object({ post_url: text, form_data: { type: 'object', additionalProperties: text }, dist_id: text }),
  },
  'POST /api/-/upload/:ticket': {
    action: 'secret',
    summary: 'Takes the bytes of an upload: a form whose last part is `file`.',
    detail: 'No other credential is read. Errors are XML.',
    status: 201,
  },
  'POST /api/v1/upload/:channel': {
    action: 'write package',
    summary: 'A conda package in one request: a form whose part `file` is the package.',
    detail:
      'As rattler-build and pixi send it; the part may have the headers X-File-Name and X-File-SHA256. The archive says its directory.',
    query: { force: '`true` puts it in place of a file of the same name.' },
    status: 200,
  },
  'POST /api/commit/:owner/:package/:version/*basename': {
    action: 'write package',
    summary: 'Ends an upload: answers when every index shows the file. A repeated one answers as the first.',
    body: object({ dist_id: text }),
    status: 200,
    answer: named('CommittedFile'),
  },
  'GET /api/channels/:channel/generation': {
    action: 'read channel',
    summary: 'How far the indexes of a channel are.',
    query: { kind: 'conda or pypi.', at: 'A generation to wait for.', wait: 'For so many ms at most.' },
    status: 200,
    answer: object({
      generation: count,
      indexed: { type: 'object', additionalProperties: count },
      readable: flag,
    }),
  },
  'GET /api/channels/:owner': {
    action: 'read channel',
    summary: 'The labels of a channel.',
    status: 200,
    answer: { type: 'object', additionalProperties: object({ is_locked: flag, count }) },
  },
  'GET /api/channels/:owner/*label': {
    action: 'read channel',
    summary: 'The files under a label.',
    status: 200,
    answer: object({ label: text, is_locked: flag, files: list(named('File')) }),
  },
  'POST /api/channels/:owner/*label': {
    action: 'write package',
    summary: 'Attaches a label to files of a package. `…/lock` locks it (admin), `…/copy/<label>` copies it.',
    body: LABEL_PLACE,
    status: 201,
    answer: LABEL_CHANGED,
  },
  'DELETE /api/channels/:owner/*label': {
    action: 'write package',
    summary: 'Detaches a label from what is named, or from everything. `…/lock` unlocks it (admin).',
    body: LABEL_PLACE,
    status: 201,
    answer: LABEL_CHANGED,
  },
  'POST /api/copy/package/:owner/:package/:version': copying('Copies a release to another channel or label.'),
  'PUT /api/copy/package/:owner/:package/:version': copying('As POST, and replaces what is there.'),
  'PATCH /api/copy/package/:owner/:package/:version': copying('As POST, and leaves what is there, but for the label.'),
  'POST /api/copy/package/:owner/:package/:version/*basename': copying('Copies a file to another channel or label.'),
  'PUT /api/copy/package/:owner/:package/:version/*basename': copying('As POST, and replaces what is there.'),
  'PATCH /api/copy/package/:owner/:package/:version/*basename': copying(
    'As POST, and adds the label to what is there.',
  ),
};
