import type { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';

import { describing } from './arguments';
import { CommandIDs } from './commands';
import { looksLikeModel } from './listing';

/** Add the commands of the file browser's menu: register a model from a file, and deploy a scoring script. */
export function addFileCommands(
  commands: CommandRegistry,
  browsers: IFileBrowserFactory,
  trans: TranslationBundle
): void {
  const selected = () => [...(browsers.tracker.currentWidget?.selectedItems() ?? [])];
  const path = () => {
    const item = selected().at(0);
    return item?.path.replace(/^[^/]*:/, '') ?? ''; // without the drive
  };

  commands.addCommand(CommandIDs.registerFile, {
    label: trans.__('Register as model …'),
    describedBy: describing(),
    isVisible: () => {
      const items = selected();
      return items.length === 1 && looksLikeModel(items[0].name, items[0].type === 'directory');
    },
    execute: () => commands.execute(CommandIDs.register, { path: path() })
  });
  commands.addCommand(CommandIDs.scoreFile, {
    label: trans.__('Use as scoring script …'),
    describedBy: describing(),
    isVisible: () => {
      const items = selected();
      return items.length === 1 && items[0].name.endsWith('.py');
    },
    execute: () => commands.execute(CommandIDs.deploy, { score: path() })
  });
}
