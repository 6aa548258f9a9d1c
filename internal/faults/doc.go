// Package faults has tests only. Its tables demand what comes of each fault at
// each stage of each way to a connected session. TestFaults runs every cell of
// them, and prints them to testdata/faults.md.
package faults
