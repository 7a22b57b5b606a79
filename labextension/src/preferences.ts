import type { ISettingRegistry } from '@jupyterlab/settingregistry';

import type { IEvent } from './listing';

/** What a person has chosen in the settings editor, as it is now; the defaults before the settings are read. */
export class Preferences {
  /** @param registry - where the settings are; null for a page without them, which has the defaults */
  constructor(registry: ISettingRegistry | null, plugin: string) {
    this.ready = this.load(registry, plugin);
  }

  /** The settings are read, or cannot be: what is opened before would not follow them. */
  readonly ready: Promise<void>;

  /** The workspace that the panel shows at first; empty for the one that notebooks use. */
  get workspace(): string {
    return this.text('workspace');
  }

  /** The compute target that a deployment proposes; empty for the usual one. */
  get target(): string {
    return this.text('target');
  }

  /** The pause in seconds before an open list is read again; 0 if that is never. */
  get refreshSeconds(): number {
    return this.number('refresh', 0);
  }

  /** The period of the charts of a monitor, in seconds. */
  get metricsSeconds(): number {
    return this.number('metricsWindow', 5) * 60;
  }

  /** Return whether a person wants to hear of events of a kind. */
  isTold(kind: IEvent['kind']): boolean {
    const wanted = this.settings?.get('notify').composite as
      Partial<Record<IEvent['kind'], boolean>> | undefined;
    return wanted?.[kind] !== false;
  }

  private async load(registry: ISettingRegistry | null, plugin: string): Promise<void> {
    try {
      this.settings = (await registry?.load(plugin)) ?? null;
    } catch {
      // Such as a file of settings that does not fit the schema, which JupyterLab reports: the defaults are used.
    }
  }

  private text(key: string): string {
    const value = this.settings?.get(key).composite;
    return typeof value === 'string' ? value.trim() : '';
  }

  private number(key: string, usual: number): number {
    const value = this.settings?.get(key).composite;
    return typeof value === 'number' && value >= 0 ? value : usual;
  }

  private settings: ISettingRegistry.ISettings | null = null;
}
