import { Fault } from '@vivarium/fault/fault';

const NEW_TOKEN = 'create a new one with "anaconda auth --create" or on the web page';

/** No such token was ever made here, or its row is gone. */
export function unknownToken(): Fault {
  return refuse(`this token is unknown to this server; ${NEW_TOKEN}`);
}

export function expiredToken(at: Date): Fault {
  return refuse(`this token expired on ${dayOf(at)}; ${NEW_TOKEN}`);
}

export function revokedToken(at: Date): Fault {
  return refuse(`this token was revoked on ${dayOf(at)}; ${NEW_TOKEN}`);
}

export function usedUpToken(): Fault {
  return refuse(`this token has no uses left; ${NEW_TOKEN}`);
}

/** An organization's token works only while the account that made it is one of the organization's owners. */
export function suspendedToken(organization: string, maker: string): Fault {
  return refuse(
    `this token of ${organization} is suspended, because ${maker}, who made it, is not one of its owners any more; ` +
      `let an owner create a new one with "anaconda auth --create --org ${organization}"`,
  );
}

export function endedSession(): Fault {
  return refuse('this session has ended; sign in again');
}

export function endedBrowserLogin(): Fault {
  return refuse('this login by the browser has expired or was used; run "anaconda login" again');
}

/** One sentence for an unknown login and a wrong password, so that nobody learns which logins exist. */
export function wrongPassword(): Fault {
  return refuse('the login or the password is wrong; check both and try again');
}

export function disabledAccount(login: string): Fault {
  return refuse(`the account ${login} is disabled; ask an administrator of this server to enable it`);
}

export function deletedAccount(login: string): Fault {
  return refuse(`the account ${login} was deleted; sign in with another one`);
}

export function nobodySignedIn(): Fault {
  return refuse('nobody is signed in; sign in, or send a token');
}

function refuse(message: string): Fault {
  return new Fault('unauthenticated', message);
}

function dayOf(at: Date): string {
  return at.toISOString().slice(0, 10);
}
