// Between the values of libs/access and the messages that carry them.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type Audience, isAudience, PERMISSIONS, type Permission } from '@vivarium/access/audience';
import type { GroupStanding, Standing } from '@vivarium/access/standing';
import type { View } from '@vivarium/access/view';
import type {
  Audience as AudienceMessage,
  AudienceSchema,
  FactVersion as FactVersionMessage,
  Standing as StandingMessage,
  StandingSchema,
  View as ViewMessage,
  ViewSchema,
} from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { Fault } from '@vivarium/fault/fault';

/** The audience in a message. Throws Fault('internal') if its id is not that of its content, or it is missing. */
export function audienceFromProto(message: AudienceMessage | undefined): Audience {
  const audience = { id: message?.id, visibility: message?.visibility, principals: message?.principals };
  if (isAudience(audience)) return audience;
  throw odd('an audience that is none');
}

export function audienceToProto(audience: Audience): MessageInitShape<typeof AudienceSchema> {
  return { id: audience.id, visibility: audience.visibility, principals: [...audience.principals] };
}

/** The standing in a message; a missing one is a stranger's. Throws Fault('internal') for an unknown permission. */
export function standingFromProto(message: StandingMessage | undefined): Standing {
  const groups = (message?.groups ?? []).map(({ id, name, permission, all }): GroupStanding => {
    return { id, name, permission: permissionOf(permission), all };
  });
  return { owner: message?.owner ?? false, member: message?.member ?? false, groups };
}

export function standingToProto(standing: Standing): MessageInitShape<typeof StandingSchema> {
  const groups = standing.groups.map(({ id, name, permission, all }) => ({ id, name: name ?? '', permission, all }));
  return { owner: standing.owner, member: standing.member, groups };
}

/** The view in a message. A missing one sees what is public, an empty list of cuts cuts nothing. */
export function viewFromProto(message: ViewMessage | undefined): View {
  return {
    everything: message?.everything ?? false,
    signedIn: message?.signedIn ?? false,
    principals: message?.principals ?? [],
    ...(message !== undefined && message.globs.length > 0 ? { globs: message.globs } : {}),
    ...(message !== undefined && message.subdirs.length > 0 ? { subdirs: message.subdirs } : {}),
  };
}

export function viewToProto(view: View): MessageInitShape<typeof ViewSchema> {
  return {
    everything: view.everything,
    signedIn: view.signedIn,
    principals: [...view.principals],
    globs: [...(view.globs ?? [])],
    subdirs: [...(view.subdirs ?? [])],
  };
}

/** Versions of facts as numbers. */
export function versionsFromProto(
  messages: readonly FactVersionMessage[],
): readonly { readonly tag: string; readonly version: number }[] {
  return messages.map(({ tag, version }) => ({ tag, version: Number(version) }));
}

function permissionOf(text: string): Permission {
  const permission = PERMISSIONS.find((each) => each === text);
  if (permission === undefined) throw odd(`the permission "${text}"`);
  return permission;
}

function odd(what: string): Fault {
  return new Fault('internal', 'Something went wrong on our side.', { cause: new Error(`a message holds ${what}`) });
}
