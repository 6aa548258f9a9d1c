//go:build !race

package storetest

const thin = 1
