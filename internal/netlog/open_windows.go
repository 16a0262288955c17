package netlog

const nonblock = 0
