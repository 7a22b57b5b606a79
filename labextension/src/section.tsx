import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

/** A part of the side panel that is read when it is opened, and again when somebody asks for it. */
export function Section<T>(props: {
  title: string;
  read: () => Promise<T[]>;
  line: (item: T, again: () => void) => React.JSX.Element;
  empty: string;
  button?: string;
  onButton?: () => void;
  workspace: string;
  trans: TranslationBundle;
}): React.JSX.Element {
  const [items, setItems] = React.useState<T[] | null>(null);
  const [problem, setProblem] = React.useState('');
  const [open, setOpen] = React.useState(false);
  const shown = React.useRef('');
  const read = () => {
    shown.current = props.workspace;
    props.read().then(
      found => {
        setItems(found);
        setProblem('');
      },
      (error: unknown) => {
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
