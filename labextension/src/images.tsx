import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { CommandIDs } from './commands';
import type { IImage } from './documents';
import { readableSize } from './format';
import { placeOf } from './listing';

/** A version of an image in the side panel: what it is, who uses it, and what can be done with it. */
export function Image(props: {
  image: IImage;
  commands: CommandRegistry;
  /** The list may have changed. */
  again: () => void;
  trans: TranslationBundle;
}): React.JSX.Element {
  const { image, commands, again, trans } = props;
  const id = `${image.name}:${image.version}`;
  const isUsed = image.usedBy.length > 0;
  const about = [
    image.state === 'Succeeded' ? '' : image.state,
    image.size === null ? '' : readableSize(image.size),
    placeOf(image.target),
    new Date(image.created * 1000).toLocaleString(),
    isUsed ? trans.__('used by %1', image.usedBy.join(', ')) : ''
  ];
  return (
    <li className="mljlab-model" title={image.location}>
      <b>{id}</b> <span className="mljlab-quiet">{about.filter(Boolean).join(' · ')}</span>
      {image.error === '' ? null : <p className="mljlab-problem">{image.error}</p>}
      <span className="mljlab-buttons">
        <button
          type="button"
          aria-label={trans.__('Build log of %1', id)}
          onClick={() => void commands.execute(CommandIDs.buildLog, { image: id })}
        >
          {trans.__('Build log')}
        </button>
        <button
          type="button"
          disabled={isUsed}
          aria-label={trans.__('Delete image %1', id)}
          onClick={() => {
            void commands.execute(CommandIDs.deleteImage, { image: id }).then(again);
          }}
        >
          {trans.__('Delete')}
        </button>
      </span>
    </li>
  );
}
