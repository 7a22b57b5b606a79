/** The ids of the commands. Those about an endpoint take its name as `name`. */
// eslint-disable-next-line @typescript-eslint/no-namespace -- the custom of JupyterLab
export namespace CommandIDs {
  export const showPanel = 'mljupyter:show-panel';
  export const monitor = 'mljupyter:monitor';
  export const logs = 'mljupyter:logs';
  export const history = 'mljupyter:history';
  export const compare = 'mljupyter:compare';
  export const tryIt = 'mljupyter:try';
  export const traffic = 'mljupyter:traffic';
  export const scale = 'mljupyter:scale';
  export const restart = 'mljupyter:restart';
  export const rollBack = 'mljupyter:roll-back';
  export const remove = 'mljupyter:delete';
  export const copyUri = 'mljupyter:copy-uri';
  export const copyClient = 'mljupyter:copy-client';
  export const deploy = 'mljupyter:deploy';
  export const register = 'mljupyter:register';
  export const registerFile = 'mljupyter:register-file';
  export const scoreFile = 'mljupyter:score-file';
  export const downloadModel = 'mljupyter:download-model';
  export const deleteModel = 'mljupyter:delete-model';
  export const buildLog = 'mljupyter:build-log';
  export const deleteImage = 'mljupyter:delete-image';
  export const attach = 'mljupyter:attach';
  export const openView = 'mljupyter:open-view';
}
