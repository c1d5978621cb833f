// What the Anaconda API says of accounts, tokens, packages, releases and files: the keys that its clients read, and ours.
import { administers } from '@vivarium/access/administer';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import type { Account } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import type { Token } from '@vivarium/contracts/gen/vivarium/identity/v1/tokens_pb';
import type { File, Package, Release } from '@vivarium/contracts/gen/vivarium/packages/v1/packages_pb';
import { callerFromProto } from '@vivarium/trust/caller';

/** `2015-11-03 00:38:29.074000+00:00`, as clients parse it: with a time zone, and microseconds. */
export function timeOf(ms: number | bigint): string {
  return new Date(Number(ms)).toISOString().replace('T', ' ').replace('Z', '000+00:00');
}

/** An account. What only it and superusers may know is shown to nobody else. */
export function accountShape(account: Account, asker: Caller | undefined) {
  const isOwn = asker?.accountId === account.id || administers(callerFromProto(asker), 'api:read');
  return {
    id: account.id,
    login: account.login,
    name: account.name,
    user_type: account.kind === 'organization' ? 'org' : 'user',
    created_at: timeOf(account.createdAtMs),
    company: account.profile.company ?? '',
    location: account.profile.location ?? '',
    description: account.profile.description ?? '',
    url: account.profile.url ?? '',
    ...(isOwn ? { email: account.email, superuser: account.superuser, disabled: account.disabled } : {}),
  };
}

/** An account, for itself and for those who manage it. */
export function managedAccountShape(account: Account) {
  return {
    id: account.id,
    login: account.login,
    name: account.name,
    email: account.email,
    superuser: account.superuser,
    disabled: account.disabled,
    created_at: timeOf(account.createdAtMs),
  };
}

/** A token, without its secret, which nobody knows any more. */
export function tokenShape(token: Token) {
  return {
    id: token.id,
    application: token.name,
    owner: token.ownerLogin,
    scopes: token.scopes,
    created_at: timeOf(token.createdAtMs),
    expires: token.expiresAtMs === 0n ? null : timeOf(token.expiresAtMs),
    last_used: token.lastUsedAtMs === 0n ? null : timeOf(token.lastUsedAtMs),
    last_used_addr: token.lastUsedAddress,
    hostname: token.hostname,
    remote_addr: token.address,
    application_website: token.url,
    remaining_uses: token.remainingUses < 0n ? null : Number(token.remainingUses),
    made_by: token.makerLogin,
    restrict: restrictShape(token),
  };
}

/** Restrictions in the form in which they are asked for; what is absent cuts nothing. */
function restrictShape({ restrictions, channelLogins, remainingUses }: Token) {
  const lists = {
    channels: channelLogins,
    packages: restrictions?.packages ?? [],
    labels: restrictions?.labels ?? [],
    subdirs: restrictions?.subdirs ?? [],
    cidrs: restrictions?.cidrs ?? [],
  };
  const present = Object.entries(lists).filter(([, list]) => list.length > 0);
  return { ...Object.fromEntries(present), ...(remainingUses < 0n ? {} : { uses: Number(remainingUses) }) };
}

/** A package as a row of a listing, and the head of its own page. */
export function packageShape(found: Package, publicUrl: string) {
  const { name, channel, platforms } = found;
  const attributes = objectIn(found.attributesJson);
  const place = `${channel}/${encodeURIComponent(name)}`;
  return {
    id: found.id,
    name,
    full_name: `${channel}/${name}`,
    owner: { login: channel },
    package_types: found.kinds,
    public: found.visibility === 'public',
    visibility: found.visibility,
    summary: found.summary,
    description: textIn(attributes, 'description') ?? '',
    home: textIn(attributes, 'home'),
    license: licenseIn(attributes, 'name') ?? textIn(attributes, 'license'),
    license_url: licenseIn(attributes, 'url') ?? textIn(attributes, 'license_url'),
    dev_url: textIn(attributes, 'dev_url'),
    doc_url: textIn(attributes, 'doc_url'),
    source_git_url: textIn(attributes, 'source_git_url'),
    source_git_tag: textIn(attributes, 'source_git_tag'),
    public_attrs: attributes,
    url: `${publicUrl}/api/package/${place}`,
    html_url: `${publicUrl}/${place}`,
    versions: found.versions,
    latest_version: found.latestVersion,
    platforms,
    conda_platforms: Object.keys(platforms).sort(),
    builds: [],
    releases: found.versions.map((version) => ({ version, full_name: `${channel}/${name}/${version}` })),
    created_at: timeOf(found.createdAtMs),
    modified_at: timeOf(found.modifiedAtMs),
  };
}

/** A release with its files. */
export function releaseShape(release: Release, channel: string, name: string, publicUrl: string) {
  const attributes = objectIn(release.attributesJson);
  return {
    id: release.id,
    version: release.version,
    full_name: `${channel}/${name}/${release.version}`,
    created_at: timeOf(release.createdAtMs),
    public_attrs: { ...attributes, description: textIn(attributes, 'description') ?? '' },
    distributions: release.files.map((file) => fileShape(file, channel, publicUrl)),
  };
}

/** A file. */
export function fileShape(file: File, channel: string, publicUrl: string) {
  const place = [channel, file.package, file.version, ...file.basename.split('/')];
  return {
    id: file.id,
    basename: file.basename,
    version: file.version,
    type: file.kind,
    distribution_type: file.kind,
    full_name: place.join('/'),
    owner: channel,
    description: file.description,
    attrs: objectIn(file.attributesJson),
    dependencies: file.dependenciesJson === '' ? null : JSON.parse(file.dependenciesJson),
    labels: file.labels,
    md5: file.md5,
    sha256: file.sha256,
    size: Number(file.sizeBytes),
    upload_time: timeOf(file.uploadedAtMs),
    ndownloads: Number(file.downloads),
    download_url: `${publicUrl}/api/download/${place.map(encodeURIComponent).join('/')}`,
  };
}

function objectIn(json: string): Readonly<Record<string, unknown>> {
  const value: unknown = json === '' ? {} : JSON.parse(json);
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function textIn(attributes: Readonly<Record<string, unknown>>, name: string): string | null {
  const value = Object.hasOwn(attributes, name) ? attributes[name] : null;
  return typeof value === 'string' ? value : null;
}

/** The client sends `license` as an object of name, url and family; others send its name. */
function licenseIn(attributes: Readonly<Record<string, unknown>>, part: 'name' | 'url'): string | null {
  const { license } = attributes;
  if (typeof license !== 'object' || license === null) return null;
  return textIn({ ...license }, part);
}
