/** All that our pages look like; served from an address of ours, since the pages allow no style of their own. */
export const STYLE = `:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin-top: 2rem; }
pre { padding: 0.75rem; overflow-x: auto; border: 1px solid; border-radius: 0.4rem; }
table { border-collapse: collapse; width: 100%; display: block; overflow-x: auto; }
th, td { text-align: left; vertical-align: top; padding: 0.3rem 0.8rem 0.3rem 0; border-bottom: 1px solid; }
td code { font-size: 0.8rem; }
.badge { border: 1px solid; border-radius: 0.6rem; padding: 0 0.5rem; font-size: 0.8rem; }
`;
