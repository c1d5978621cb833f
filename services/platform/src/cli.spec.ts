import { SETTINGS } from '@vivarium/boot/config';
import { program } from './cli.js';

describe('the help of the command line', () => {
  it('names every setting', () => {
    let help = '';
    program()
      .configureOutput({ writeOut: (text) => (help += text) })
      .outputHelp();
    expect(SETTINGS.filter((name) => !help.includes(name))).toEqual([]);
  });
});
