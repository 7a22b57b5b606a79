/** Where what was typed is kept: the storage of the browser's tab, or another one. */
export interface IStore {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** What was typed into a wizard: pairs of key and value in their order, by the name of the step. */
interface IKept {
  born: string;
  step: string;
  pages: Record<string, [key: string, value: unknown][]>;
}

/** The part of a wizard's page that matters here. */
interface IShown {
  steps: { name: string; state: string }[];
  fields: { key: string; secret?: boolean }[];
}

const PREFIX = 'mljupyter:typed:';
const MOST_CHARACTERS = 100_000;
/** An address with a password, such as that of a proxy. */
const PASSWORD = /:\/\/[^/\s]*:[^/\s]*@/;

/**
 * What a person has typed into a wizard, kept in the tab of the browser until the wizard is closed.
 *
 * A server that was started again creates the wizard again, and is told this. Secrets are not kept: fields that hide what is
 * typed, and addresses with a password.
 */
export class Typed {
  constructor(
    view: string,
    private readonly store: IStore
  ) {
    this.key = PREFIX + view;
    this.kept = this.read();
  }

  /** Note a message of the page to the wizard that shows `view`, if it is a change of a field. */
  note(content: unknown, view: unknown): void {
    const { kind, key, value } = (content ?? {}) as Partial<Record<string, unknown>>;
    const step = stepOf(view);
    if (kind !== 'change' || typeof key !== 'string' || step === '') {
      return;
    }
    const field = (view as IShown).fields.find(one => one.key === key);
    if (field === undefined || field.secret === true || PASSWORD.test(JSON.stringify(value))) {
      return;
    }
    const part = partOf(value);
    const others = (this.kept.pages[step] ?? []).filter(
      ([other, earlier]) => other !== key || partOf(earlier) !== part
    );
    this.kept.step = step;
    this.kept.pages[step] = [...others, [key, value]];
    this.write();
  }

  /** Note the step that is shown. */
  see(view: unknown): void {
    const step = stepOf(view);
    if (step !== '' && step !== this.kept.step && !this.isEmpty) {
      this.kept.step = step;
      this.write();
    }
  }

  /**
   * Return the message that tells a wizard what was typed into an earlier one; null if nothing was, or if it is the one
   * that has heard it.
   *
   * @param born - the mark of the wizard: one that is created again has another
   */
  missing(born: string): object | null {
    const isAnother = this.kept.born !== born && this.kept.born !== '';
    this.kept.born = born;
    if (this.isEmpty) {
      return null;
    }
    this.write();
    return isAnother ? { kind: 'typed', step: this.kept.step, pages: this.kept.pages } : null;
  }

  /** Forget everything: the wizard is closed. */
  forget(): void {
    this.kept = nothing();
    try {
      this.store.removeItem(this.key);
    } catch {
      // a browser that keeps nothing has nothing to forget
    }
  }

  private get isEmpty(): boolean {
    return Object.keys(this.kept.pages).length === 0;
  }

  private read(): IKept {
    try {
      const found = JSON.parse(this.store.getItem(this.key) ?? 'null') as IKept | null;
      return found ?? nothing();
    } catch {
      return nothing();
    }
  }

  private write(): void {
    const text = JSON.stringify(this.kept);
    try {
      if (text.length <= MOST_CHARACTERS) {
        this.store.setItem(this.key, text);
      }
    } catch {
      // the storage is full or switched off: it is kept while the page is open
    }
  }

  private readonly key: string;
  private kept: IKept;
}

function nothing(): IKept {
  return { born: '', step: '', pages: {} };
}

/** Return the name of the step that a wizard shows; empty for anything else. */
function stepOf(view: unknown): string {
  const steps = (view as Partial<IShown> | undefined)?.steps ?? [];
  return steps.find(({ state }) => state === 'current')?.name ?? '';
}

/** Return the part of a field that a value is for, such as the share of one version; empty for a whole field. */
function partOf(value: unknown): string {
  const { name } = (value ?? {}) as { name?: unknown };
  return typeof name === 'string' ? name : '';
}
