/** One mail, to one address. */
export interface Mail {
  /** Names it for ever: sent twice, it is the same mail. */
  readonly id: string;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly date: Date;
}

/** Takes mails to where people read them. */
export interface Mailer {
  /**
   * Resolves when somebody else answers for the mail, or it is on the disk. Gives up soon after the signal.
   * Throws NotSent.
   */
  send(mail: Mail, signal: AbortSignal): Promise<void>;
}

/** Why a mail is not sent. The message is for a log: codes, and nothing that a server or a person wrote. */
export class NotSent extends Error {
  override readonly name = 'NotSent';
  constructor(
    message: string,
    /** `mail`: this one is refused for ever; `delay`: this one, for now; `server`: so would be every other now. */
    readonly what: 'mail' | 'delay' | 'server',
  ) {
    super(message);
  }
}
