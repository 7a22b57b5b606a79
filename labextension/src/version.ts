/** The version of this extension, which is that of the Python package: a test compares them. */
export const VERSION = '0.1.0';
