import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { Preferences } from './preferences';

const LOOK_SECONDS = 1;

/**
 * A part of the side panel that is read when it is opened, and again when somebody asks for it, or at the intervals that
 * somebody has chosen; nobody reads for a page that is not seen.
 */
export function Section<T>(props: {
  title: string;
  read: () => Promise<T[]>;
  line: (item: T, again: () => void) => React.JSX.Element;
  empty: string;
  button?: string;
  onButton?: () => void;
  workspace: string;
  preferences: Preferences;
  trans: TranslationBundle;
}): React.JSX.Element {
  const [items, setItems] = React.useState<T[] | null>(null);
  const [problem, setProblem] = React.useState('');
  const [open, setOpen] = React.useState(false);
  const shown = React.useRef('');
  const readAt = React.useRef(0);
  const read = () => {
    shown.current = props.workspace;
    readAt.current = Infinity; // one request at a time
    props.read().then(
      found => {
        readAt.current = Date.now();
        setItems(found);
        setProblem('');
      },
      (error: unknown) => {
        readAt.current = Date.now();
        setProblem(error instanceof Error ? error.message : String(error));
      }
    );
  };
  React.useEffect(() => {
    if (shown.current !== props.workspace) {
      setItems(null); // those of another workspace; of the same one, they stay until they are read again
    }
    if (open && props.workspace !== '') {
      read();
    }
  }, [open, props.workspace]);
  React.useEffect(() => {
    if (!open) {
      return;
    }
    const timer = window.setInterval(() => {
      const { refreshSeconds } = props.preferences;
      const isDue = refreshSeconds > 0 && Date.now() - readAt.current >= refreshSeconds * 1000;
      if (isDue && !document.hidden && props.workspace !== '') {
        read();
      }
    }, LOOK_SECONDS * 1000);
    return () => {
      window.clearInterval(timer);
    };
  }, [open, props.workspace]);
  return (
    <details
      className="mljlab-section"
      onToggle={event => {
        setOpen(event.currentTarget.open);
      }}
    >
      <summary>{props.title}</summary>
      {problem !== '' ? <p className="mljlab-problem">{problem}</p> : null}
      {items === null && problem === '' ? (
        <p className="mljlab-quiet">{props.trans.__('Loading …')}</p>
      ) : null}
      {items?.length === 0 ? <p className="mljlab-quiet">{props.empty}</p> : null}
      <ul className="mljlab-list">{(items ?? []).map(item => props.line(item, read))}</ul>
      <p>
        {props.button === undefined ? null : (
          <button type="button" className="mljlab-button" onClick={props.onButton}>
            {props.button}
          </button>
        )}{' '}
        <button
          type="button"
          className="mljlab-button"
          aria-label={props.trans.__('Refresh: %1', props.title)}
          onClick={read}
        >
          {props.trans.__('Refresh')}
        </button>
      </p>
    </details>
  );
}
