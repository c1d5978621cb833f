import { ROLES, type Role } from '@vivarium/boot/config';
import { acknowledgementSubject, invalidationSubject } from '@vivarium/invalidation/invalidations';

/** Who connects to the bus: the services, and the command line. */
export type BusUser = Role | 'platform';
export const BUS_USERS: readonly BusUser[] = [...ROLES, 'platform'];

/** What one of them may do there. Patterns as in `Bus.subscribe`; everything else is refused. */
export interface BusRights {
  /** Requests and events that it may send. Answers are sent to whoever asked, and to nobody else. */
  readonly publish: readonly string[];
  /** Events that it may hear, and answers to its own requests. */
  readonly subscribe: readonly string[];
  /** Requests that it may answer, in the queue of this name; undefined if it answers none. */
  readonly serve: { readonly pattern: string; readonly queue: string } | undefined;
}

/**
 * Which calls are made by whom: a contract, or one method of it. Who is missing here is refused by the bus, whatever it knows:
 * the bus is the second fence, behind what each handler asks of an assertion.
 */
export const CALLS: Readonly<Record<string, readonly BusUser[]>> = {
  'authz.Audit.*': ['authz'],
  'authz.AuditTrail.*': ['gateway'],
  'authz.Decisions.*': ['gateway', 'platform'],
  'authz.GroupIds.*': ['packages'],
  'authz.Groups.*': ['gateway'],
  'authz.Invalidations.*': ['gateway'],
  'authz.Memberships.*': ['packages'],
  'authz.Organizations.*': ['gateway'],
  'authz.Views.*': ['gateway', 'identity', 'packages'],

  'condaindex.Heads.find': ['gateway', 'packages'],
  'condaindex.Heads.rebuild': ['platform'],
  'condaindex.Heads.retiredShard': ['gateway'],
  'condaindex.Invalidations.*': ['gateway'],
  'condaindex.Upkeep.*': ['platform'],

  'identity.AccountNames.*': ['authz', 'packages'],
  'identity.Accounts.*': ['gateway', 'authz', 'packages'],
  'identity.Audit.*': ['authz'],
  'identity.BrowserLogins.*': ['gateway'],
  // Whoever verifies assertions of callers, identity's own included.
  'identity.Callers.keys': ['identity', 'authz', 'packages'],
  'identity.Callers.recheck': ['authz', 'packages'],
  'identity.Callers.use': ['gateway', 'packages'],
  // Makes assertions: nobody else may ask for one.
  'identity.Callers.whoIs': ['gateway'],
  'identity.Inbox.delete': ['gateway'],
  'identity.Inbox.deliver': ['authz'],
  'identity.Inbox.list': ['gateway'],
  'identity.Inbox.markRead': ['gateway'],
  'identity.Invalidations.*': ['gateway'],
  'identity.NamedTokens.*': ['authz'],
  'identity.Invitations.*': ['gateway'],
  'identity.OrganizationAccounts.*': ['authz'],
  'identity.Sessions.*': ['gateway'],
  'identity.SignUps.*': ['gateway'],
  'identity.Tokens.*': ['gateway'],
  'identity.Users.*': ['gateway'],

  'packages.AccessFacts.*': ['authz'],
  'packages.Audit.*': ['authz'],
  'packages.ChannelEnds.*': ['authz'],
  'packages.ChannelData.*': ['gateway'],
  'packages.Channels.*': ['gateway', 'authz', 'platform'],
  'packages.Collaborators.*': ['gateway'],
  'packages.Copies.*': ['gateway'],
  'packages.Downloads.*': ['gateway'],
  'packages.Feed.*': ['conda-index', 'pypi-index', 'platform'],
  'packages.Files.*': ['gateway'],
  'packages.Grants.*': ['gateway'],
  'packages.Invalidations.*': ['gateway'],
  'packages.Labels.*': ['gateway'],
  'packages.Notices.*': ['gateway'],
  'packages.Packages.*': ['gateway'],
  'packages.Releases.*': ['gateway'],
  'packages.Search.*': ['gateway'],
  'packages.Stages.*': ['gateway'],
  'packages.Transfers.*': ['gateway'],
  'packages.Upkeep.*': ['platform'],
  'packages.Visibilities.*': ['gateway'],

  'pypiindex.Heads.find': ['gateway', 'packages'],
  'pypiindex.Heads.rebuild': ['platform'],
  'pypiindex.Invalidations.*': ['gateway'],
  'pypiindex.Upkeep.*': ['platform'],
};

// Those whose facts a gateway remembers.
const REMEMBERED = ROLES.filter((role) => role !== 'gateway');

/** Which events are sent by whom, and heard by whom. */
export const EVENTS: readonly {
  readonly pattern: string;
  readonly sent: readonly BusUser[];
  readonly heard: readonly BusUser[];
}[] = [
  ...REMEMBERED.map((service) => ({
    pattern: invalidationSubject(service),
    sent: [service],
    heard: service === 'packages' ? (['gateway', 'conda-index', 'pypi-index'] as const) : (['gateway'] as const),
  })),
  ...REMEMBERED.map((service) => ({
    pattern: acknowledgementSubject(service),
    sent: ['gateway'] as const,
    heard: [service],
  })),
  { pattern: 'readable.*.conda', sent: ['conda-index'], heard: [] },
  { pattern: 'readable.*.pypi', sent: ['pypi-index'], heard: [] },
  { pattern: 'readable.>', sent: [], heard: ['packages'] },
];

/** All that this user may do on the bus. */
export function rightsOf(user: BusUser): BusRights {
  const calls = Object.entries(CALLS).flatMap(([pattern, callers]) => (callers.includes(user) ? [pattern] : []));
  const sent = EVENTS.flatMap((event) => (event.sent.includes(user) ? [event.pattern] : []));
  const heard = EVENTS.flatMap((event) => (event.heard.includes(user) ? [event.pattern] : []));
  const queue = queueOf(user);
  return {
    publish: [...calls, ...sent].sort(),
    subscribe: [...heard.sort(), `_INBOX.${user}.>`],
    serve: Object.keys(CALLS).some((pattern) => pattern.startsWith(`${queue}.`))
      ? { pattern: `${queue}.>`, queue }
      : undefined,
  };
}

/** The first word of the subjects that a service answers, as its contracts are named. */
export function queueOf(user: BusUser): string {
  return user.replace('-', '');
}
