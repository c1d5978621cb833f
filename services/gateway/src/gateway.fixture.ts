import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { DescMethod, DescService, MessageInitShape } from '@bufbuild/protobuf';
import type { Blobs } from '@vivarium/blobs/blobs';
import { openFolderBlobs } from '@vivarium/blobs/folder';
import { readConfig } from '@vivarium/boot/config';
import { Health } from '@vivarium/boot/health';
import { openLog } from '@vivarium/boot/log';
import { AuditTrail } from '@vivarium/contracts/gen/vivarium/authz/v1/audit_trail_pb';
import { Decisions } from '@vivarium/contracts/gen/vivarium/authz/v1/decisions_pb';
import { Groups } from '@vivarium/contracts/gen/vivarium/authz/v1/groups_pb';
import { Organizations } from '@vivarium/contracts/gen/vivarium/authz/v1/organizations_pb';
import { Invalidations as AuthzInvalidations, Views } from '@vivarium/contracts/gen/vivarium/authz/v1/views_pb';
import type { CallerSchema } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import {
  Heads as CondaHeads,
  Invalidations as CondaInvalidations,
} from '@vivarium/contracts/gen/vivarium/condaindex/v1/heads_pb';
import { Accounts, Sessions } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { BrowserLogins } from '@vivarium/contracts/gen/vivarium/identity/v1/browser_logins_pb';
import {
  Callers,
  Invalidations as IdentityInvalidations,
} from '@vivarium/contracts/gen/vivarium/identity/v1/callers_pb';
import { Inbox } from '@vivarium/contracts/gen/vivarium/identity/v1/inbox_pb';
import { Invitations, SignUps } from '@vivarium/contracts/gen/vivarium/identity/v1/sign_ups_pb';
import { Tokens } from '@vivarium/contracts/gen/vivarium/identity/v1/tokens_pb';
import { Users } from '@vivarium/contracts/gen/vivarium/identity/v1/users_pb';
import { ChannelData } from '@vivarium/contracts/gen/vivarium/packages/v1/channel_data_pb';
import {
  Channels,
  Invalidations as PackagesInvalidations,
} from '@vivarium/contracts/gen/vivarium/packages/v1/channels_pb';
import { Downloads } from '@vivarium/contracts/gen/vivarium/packages/v1/downloads_pb';
import { Files } from '@vivarium/contracts/gen/vivarium/packages/v1/files_pb';
import { Collaborators, Grants } from '@vivarium/contracts/gen/vivarium/packages/v1/grants_pb';
import { Packages, Releases } from '@vivarium/contracts/gen/vivarium/packages/v1/packages_pb';
import { Stages } from '@vivarium/contracts/gen/vivarium/packages/v1/stages_pb';
import { Transfers, Visibilities } from '@vivarium/contracts/gen/vivarium/packages/v1/transfers_pb';
import {
  Heads as PypiHeads,
  Invalidations as PypiInvalidations,
} from '@vivarium/contracts/gen/vivarium/pypiindex/v1/heads_pb';
import { openMemoryCounters } from '@vivarium/counters/memory';
import { Fault } from '@vivarium/fault/fault';
import { LocalExchange } from '@vivarium/rpc/local';
import { type Call, type HandlerOf, serve } from '@vivarium/rpc/rpc';
import { mintToken } from '@vivarium/token/format';
import { Trust } from '@vivarium/trust/trust';
import { type GatewayPorts, openGateway } from './gateway.js';
import { openRouter } from './router.js';
import type { Route } from './routes.js';

type CallerInit = MessageInitShape<typeof CallerSchema>;

const CONTRACTS = [
  ...[
    Callers,
    Tokens,
    Users,
    Invitations,
    SignUps,
    Accounts,
    Sessions,
    IdentityInvalidations,
    Views,
    AuthzInvalidations,
  ],
  ...[Organizations, Groups, Grants, Inbox, Decisions, AuditTrail, BrowserLogins],
  ...[Channels, Packages, Releases, Stages, Files, Collaborators, PackagesInvalidations],
  ...[Visibilities, Transfers, ChannelData, Downloads],
  ...[CondaHeads, CondaInvalidations, PypiHeads, PypiInvalidations],
];

/** One call that reached another service. */
export interface Heard {
  readonly rpc: string;
  readonly request: Readonly<Record<string, unknown>>;
  readonly assertion: string | undefined;
}

/** The services around the gateway: they hear everything, and answer what a test teaches them. */
export class Others {
  readonly heard: Heard[] = [];
  readonly #answers = new Map<string, (request: unknown, call: Call) => unknown>();

  teach<S extends DescService, M extends keyof S['method'] & string>(
    service: S,
    method: M,
    answer: HandlerOf<S>[M],
  ): void {
    this.#answers.set(nameOf(service, method), answer as (request: unknown, call: Call) => unknown);
  }

  /** The requests of one method, oldest first. */
  heardOf<S extends DescService>(service: S, method: keyof S['method'] & string): Heard['request'][] {
    return this.heard.filter(({ rpc }) => rpc === nameOf(service, method)).map(({ request }) => request);
  }

  handlerOf(service: DescService): HandlerOf<DescService> {
    const methods = service.methods.map((method: DescMethod) => {
      const rpc = nameOf(service, method.localName);
      const answer = async (request: unknown, call: Call) => {
        // Leases are asked for all the time, and for no request.
        if (method.localName !== 'lease') {
          this.heard.push({ rpc, request: { ...(request as object) }, assertion: call.assertion });
        }
        const taught = this.#answers.get(rpc);
        if (taught === undefined) throw new Fault('not_found', `nobody taught ${rpc}`);
        return taught(request, call);
      };
      return [method.localName, answer] as const;
    });
    return Object.fromEntries(methods) as HandlerOf<DescService>;
  }
}

function nameOf(service: DescService, method: string): string {
  return `${service.typeName.replace('vivarium.', '').replace('.v1', '')}.${method}`;
}

export interface Answered {
  readonly status: number;
  readonly reason: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly text: string;
  json(): unknown;
}

export interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | Readable;
}

export interface Running {
  readonly others: Others;
  readonly blobs: Blobs;
  readonly ports: GatewayPorts;
  readonly port: number;
  readonly secret: string;
  /** What the router answers. */
  readonly routes: readonly Route[];
  /** Lines of the log. */
  readonly log: string[];
  /** A token of an account that identity knows from now on. */
  token(caller: CallerInit): string;
  ask(path: string, asked?: Asked): Promise<Answered>;
  stagedKeys(): Promise<string[]>;
  stop(): Promise<void>;
}

export const ALICE: CallerInit = { accountId: 'a1', login: 'alice', accountKind: 'user', scopes: ['all'] };
export const BOB: CallerInit = { accountId: 'b1', login: 'bob', accountKind: 'user', scopes: ['all'] };
export const PASSWORDS: Readonly<Record<string, string>> = { alice: 'secret word', bob: 'other word' };

/** A whole gateway on a port of its own, with other people's services taught the least. */
export async function startGateway(env: Record<string, string> = {}): Promise<Running> {
  const folder = await mkdtemp(join(tmpdir(), 'gateway-'));
  const secret = randomBytes(32).toString('hex');
  const config = readConfig(
    { DATA_DIR: folder, VIVARIUM_SECRET: secret, PUBLIC_URL: 'http://vivarium.test', LOG_LEVEL: 'info', ...env },
    'all',
  );
  const lines: string[] = [];
  const log = openLog({ level: 'info', service: 'gateway', destination: { write: (line) => void lines.push(line) } });
  const exchange = new LocalExchange();
  const [bus, othersBus] = [exchange.connect(log), exchange.connect(log)];
  const others = new Others();
  const callers = new Map<string, CallerInit>();
  teachBasics(others, callers);
  for (const contract of CONTRACTS) await serve(contract, others.handlerOf(contract), othersBus, log);
  const blobs = await openFolderBlobs(join(folder, 'blobs'));
  const trust = new Trust({ service: 'gateway', secret, bus, clock: Date.now });
  const counters = openMemoryCounters();
  const ports: GatewayPorts = { service: 'gateway', config, bus, log, trust, clock: Date.now, blobs, counters };
  const routing = await openRouter(ports);
  const gateway = await openGateway(ports, routing.router, new Health());
  await new Promise<void>((resolve) => gateway.server.listen(0, '127.0.0.1', resolve));
  const { port } = gateway.server.address() as AddressInfo;
  return {
    others,
    blobs,
    ports,
    port,
    secret,
    routes: routing.routes,
    log: lines,
    token: (caller) => {
      const text = mintToken(randomBytes);
      const named = { credentialKind: 'token', credentialId: `t${callers.size}`, ...caller };
      callers.set(createHash('sha256').update(text).digest('hex'), named);
      return text;
    },
    ask: (path, asked) => askAt(port, path, asked),
    stagedKeys: async () => {
      const keys: string[] = [];
      for await (const { key } of blobs.list('staging/')) keys.push(key);
      return keys;
    },
    stop: async () => {
      gateway.server.closeAllConnections();
      await gateway.stop();
      await routing.close();
      await bus.drain();
      await othersBus.drain();
      await blobs.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Sends one request as raw as node can, and reads all of the answer. */
export function askAt(
  port: number,
  path: string,
  { method = 'GET', headers = {}, body }: Asked = {},
): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port,
      path,
      method,
      headers: { Host: 'vivarium.test', ...headers },
      agent: false,
    };
    const sent = httpRequest(options, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () => {
        const whole = Buffer.concat(chunks);
        const text = whole.toString('utf8');
        const { statusCode = 0, statusMessage = '' } = answer;
        const read = { status: statusCode, reason: statusMessage, headers: answer.headers, body: whole, text };
        resolve({ ...read, json: () => JSON.parse(text) });
      });
    });
    sent.on('error', reject);
    if (body instanceof Readable) body.pipe(sent);
    else sent.end(body);
  });
}

function teachBasics(others: Others, callers: ReadonlyMap<string, CallerInit>): void {
  const lease = async () => ({ epoch: 'e', seq: 0n, leaseMs: 5_000n });
  for (const contract of [IdentityInvalidations, AuthzInvalidations, PackagesInvalidations]) {
    others.teach(contract, 'lease', lease);
  }
  for (const contract of [CondaInvalidations, PypiInvalidations]) others.teach(contract, 'lease', lease);
  others.teach(Callers, 'whoIs', async ({ credential, audiences }) => {
    const caller = callerBy(credential, callers);
    const assertions = Object.fromEntries(audiences.map((each) => [each, `${caller.login} to ${each}`]));
    return { caller, assertions };
  });
  others.teach(Channels, 'find', async ({ login }) => {
    if (login === 'nobody') throw new Fault('not_found', 'no such channel');
    const defaultVisibility = login === 'hidden' ? 'private' : 'public';
    return {
      channel: {
        id: `${login.slice(0, 1)}1`,
        login,
        kind: 'user',
        defaultVisibility,
        incarnation: 'i',
        generation: 7n,
      },
    };
  });
  others.teach(Views, 'viewOf', async ({ accountId, channelId }) => ({ standing: { owner: accountId === channelId } }));
}

function callerBy(
  credential: Parameters<HandlerOf<typeof Callers>['whoIs']>[0]['credential'],
  callers: ReadonlyMap<string, CallerInit>,
): CallerInit {
  if (credential.case === 'password') {
    const { login, password } = credential.value;
    if (PASSWORDS[login] !== password) throw new Fault('unauthenticated', 'Wrong login or password.');
    return { ...(login === 'alice' ? ALICE : BOB), credentialKind: 'password' };
  }
  const hash = credential.value === undefined ? '' : Buffer.from(credential.value).toString('hex');
  const caller = callers.get(hash);
  if (caller === undefined) throw new Fault('unauthenticated', 'This token is not known. Make a new one.');
  return caller;
}
