import { html } from './html.js';

describe('html', () => {
  it.each([
    ['<script>alert(1)</script>', '&#60;script&#62;alert(1)&#60;/script&#62;'],
    ['" onmouseover="x', '&#34; onmouseover=&#34;x'],
    ["' x='", '&#39; x=&#39;'],
    ['a & b &amp; c', 'a &#38; b &#38;amp; c'],
    ['`x`', '&#96;x&#96;'],
  ])('escapes the fill %j', (fill, escaped) => {
    expect(String(html`<p title="${fill}">${fill}</p>`)).toBe(`<p title="${escaped}">${escaped}</p>`);
  });

  it('takes its own markup as it is, one piece or many, and numbers', () => {
    const rows = ['<1>', '<2>'].map((each) => html`<i>${each}</i>`);
    expect(String(html`<p>${html`<b>${'<'}</b>`}${rows}${3}</p>`)).toBe(
      '<p><b>&#60;</b><i>&#60;1&#62;</i><i>&#60;2&#62;</i>3</p>',
    );
  });

  it('is not deceived by a text made of markup', () => {
    expect(String(html`<p>${String(html`<b></b>`)}</p>`)).toBe('<p>&#60;b&#62;&#60;/b&#62;</p>');
  });
});
