import type { CommandRegistry } from '@lumino/commands';
import { DisposableDelegate, type IDisposable } from '@lumino/disposable';
import { Menu } from '@lumino/widgets';

import { CommandIDs } from './commands';

/** An item of the menu of an endpoint: a command that gets the endpoint's name as `name`. */
export interface IEndpointAction {
  command: string;
  /** Its place: items are in the order of their ranks; our own have 10, 20 and so on. */
  rank?: number;
}

const OWN = [
  CommandIDs.monitor,
  CommandIDs.tryIt,
  CommandIDs.logs,
  CommandIDs.compare,
  CommandIDs.history,
  CommandIDs.traffic,
  CommandIDs.scale,
  CommandIDs.restart,
  CommandIDs.rollBack,
  CommandIDs.copyUri,
  CommandIDs.copyClient,
  CommandIDs.remove
];
const LAST_RANK = 1000;

/** The menu of an endpoint. Other extensions add items to it. */
export class EndpointMenu {
  /** Add an item; disposing of the result takes it away. */
  add(action: IEndpointAction): IDisposable {
    this.actions.push(action);
    this.actions.sort((one, other) => (one.rank ?? LAST_RANK) - (other.rank ?? LAST_RANK));
    return new DisposableDelegate(() => {
      this.actions = this.actions.filter(one => one !== action);
    });
  }

  /** The commands in order. */
  get commands(): readonly string[] {
    return this.actions.map(({ command }) => command);
  }

  /** Open it for an endpoint at a place of the page; the focus returns to `from` when it is closed. */
  open(commands: CommandRegistry, name: string, x: number, y: number, from?: HTMLElement): void {
    const menu = new Menu({ commands });
    this.commands
      .filter(command => commands.hasCommand(command))
      .forEach(command => menu.addItem({ command, args: { name } }));
    menu.aboutToClose.connect(() => {
      from?.focus();
      // The command of the chosen item is executed after the menu is closed.
      window.setTimeout(() => {
        menu.dispose();
      });
    });
    menu.open(x, y);
  }

  private actions: IEndpointAction[] = OWN.map((command, place) => ({
    command,
    rank: 10 * (place + 1)
  }));
}
