// Package logs writes and reads what a container said, in the format of
// Docker's json-file log driver: one JSON object a line.
//
//	{"log":"hello\n","stream":"stdout","time":"2026-01-02T15:04:05.123456789Z"}
//
// A line of the container is one record. A line longer than [MaxLine] becomes
// several, of which only the last ends in "\n"; they share one time. Bytes that
// are not UTF-8 become U+FFFD, since JSON cannot hold them.
//
// The monitor is the one [Writer] of a file and batches the records of one read
// into one write(2). Any number of processes may read at the same time, with no
// lock: a record counts once its line feed is there. A line that a crash or a
// full disk cut short is skipped by readers, and the writer starts a new line
// behind it.
//
// [Read] copies records to a person's stdout and stderr, [Scan] hands them to a
// function. Both can begin near the end, and follow until the container ends.
//
// There is no rotation: a file is removed with its container. A file that was
// truncated by hand is read on from its start.
package logs
