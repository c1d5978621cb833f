// What a browser is told of everything that is no page of ours. Publishers choose bytes and words, and they stand at our
// origin: nothing in them may run, load, send or be shown inside somebody else's page, even if a type were ever wrong.

/** Of lists, errors and answers of the API. A simple page is one: its links must still lead to downloads. */
export const INERT = "default-src 'none'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

/** Of someone's upload: an origin of its own besides. */
export const INERT_UPLOAD = `sandbox; ${INERT}`;
