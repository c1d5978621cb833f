/** A part of a channel, as somebody installs from it. */
export interface Source {
  readonly publicUrl: string;
  readonly channel: string;
  /** False: whoever reads there must show a token. */
  readonly isOpen: boolean;
  /** Absent: `main`. */
  readonly label?: string | undefined;
}

/** What `conda install --channel` takes; TOKEN stands where the reader's own token belongs. */
export function condaAddress({ publicUrl, channel, isOpen, label }: Source): string {
  return `${publicUrl}/${isOpen ? 'conda' : 't/TOKEN'}/${channel}${labelPart(label)}`;
}

/** What `pip install --index-url` takes; TOKEN as above. */
export function pypiAddress({ publicUrl, channel, isOpen, label }: Source): string {
  return `${publicUrl}/pypi/${isOpen ? '' : 't/TOKEN/'}${channel}${labelPart(label)}/simple`;
}

function labelPart(label = 'main'): string {
  return label === 'main' ? '' : `/label/${label}`;
}
