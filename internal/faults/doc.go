// Package faults has tests only. Its tables demand the outcome of each fault at
// each stage of each way to a connected session. TestFaults runs the cells,
// and prints the tables to testdata/faults.md.
package faults
