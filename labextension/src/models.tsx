import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { CommandIDs } from './commands';
import type { IModel } from './documents';
import { readableSize } from './format';
import { modelCell } from './listing';

/** A version of a model in the side panel: what it is, who uses it, and what can be done with it. */
export function Model(props: {
  model: IModel;
  /** The endpoints that use it now. */
  users: readonly string[];
  commands: CommandRegistry;
  drag: (code: string, x: number, y: number) => void;
  /** The list may have changed. */
  again: () => void;
  trans: TranslationBundle;
}): React.JSX.Element {
  const { model, users, commands, drag, again, trans } = props;
  const id = `${model.name}:${model.version}`;
  const about = [
    model.framework,
    readableSize(model.size),
    users.length > 0 ? trans.__('used by %1', users.join(', ')) : ''
  ];
  const button = (label: string, command: string, disabled = false) => (
    <button
      type="button"
      disabled={disabled}
      aria-label={`${label} ${id}`}
      onClick={() => {
        void commands.execute(command, { model: id }).then(again);
      }}
    >
      {label}
    </button>
  );
  return (
    <li
      className="mljlab-model"
      draggable
      onDragStart={event => {
        event.preventDefault();
        drag(modelCell(model.name, model.version), event.clientX, event.clientY);
      }}
    >
      <b>{id}</b> <span className="mljlab-quiet">{about.filter(Boolean).join(' · ')}</span>
      <span className="mljlab-buttons">
        {button(trans.__('Deploy'), CommandIDs.deploy)}
        {button(trans.__('Download'), CommandIDs.downloadModel)}
        {button(trans.__('Delete'), CommandIDs.deleteModel, users.length > 0)}
      </span>
    </li>
  );
}
