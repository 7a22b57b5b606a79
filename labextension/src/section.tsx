import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { pauseAfter } from './listing';
import type { Preferences } from './preferences';

const LOOK_SECONDS = 1;

/**
 * A part of the side panel that is read when it is opened, and again when somebody asks for it, or at the intervals that
 * somebody has chosen; nobody reads for a page that is not seen. A read that fails is tried again after a pause.
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
  const failures = React.useRef(0);
  const newest = React.useRef(0);
  const read = () => {
    const number = ++newest.current;
    shown.current = props.workspace;
    readAt.current = Infinity; // one request at a time
    props.read().then(
      found => {
        if (number === newest.current) {
          readAt.current = Date.now();
          failures.current = 0;
          setItems(found);
          setProblem('');
        }
      },
      (error: unknown) => {
        if (number === newest.current) {
          readAt.current = Date.now();
          failures.current += 1;
          setProblem(error instanceof Error ? error.message : String(error));
        }
      }
    );
  };
  React.useEffect(() => {
    if (shown.current !== props.workspace) {
      newest.current += 1; // what is still read is of another workspace, too
      failures.current = 0;
      setItems(null); // those of another workspace; of the same one, they stay until they are read again
      setProblem('');
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
      const pause = failures.current > 0 ? pauseAfter(failures.current) : refreshSeconds;
      const isDue = pause > 0 && Date.now() - readAt.current >= pause * 1000;
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
      {problem !== '' ? (
        <p className="mljlab-problem" role="status">
          {problem} {props.trans.__('Trying again …')}
        </p>
      ) : null}
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
