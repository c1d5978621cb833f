-- Objects that no row names and that are to be deleted, or were a short while ago. Whoever is about to name one sees it here.
CREATE TABLE doomed (
  hash   text PRIMARY KEY,
  prefix text NOT NULL CHECK (prefix IN ('index', 'heads')),
  -- doomed: found; deleting: may be gone at any moment; wanted: named again while it was being deleted, and so to be put back;
  -- gone: deleted, remembered for as long as somebody may build on having seen it.
  state  text NOT NULL DEFAULT 'doomed' CHECK (state IN ('doomed', 'deleting', 'wanted', 'gone')),
  -- Of the state.
  since  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX doomed_since ON doomed (state, since);
