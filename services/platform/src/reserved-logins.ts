import { KNOWN_SUBDIRS } from '@vivarium/conda/subdir';

// First segments of our own addresses, on the main host and below /api, and words that clients give a meaning.
const WORDS = `
  .well-known account accounts anonymous api app apps assets audit auth authentication authentication-type
  authentications can-i channel channels collaborators commit conda conda-forge copy defaults dist docs download
  favicon files group groups health help inbox index install invite invitations label labels leaked-tokens legacy licence
  license local login logout me metrics nolabel notices oauth organization organizations orgs package package_listing packages
  pypi recent release repodata repos robots scopes search session sessions settings shards sharing signup sign-up
  simple stage static t takedown team token tokens upload user users v1 vivarium web well-known
`;

/** Logins that nobody may take: they would stand where an address of ours stands. A test holds the route table against it. */
export const RESERVED_LOGINS: ReadonlySet<string> = new Set([...WORDS.trim().split(/\s+/), ...KNOWN_SUBDIRS, '-', '_']);
