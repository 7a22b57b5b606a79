"""The zygote: a process that has run init() once and forks workers."""
