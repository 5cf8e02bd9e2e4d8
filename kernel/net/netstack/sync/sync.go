//go:build kiln_netstack

// Package sync is an addition to gVisor's package of this name: when a kernel is
// built, what it declares takes the place of gVisor's.
package sync

import (
	"sync"

	"kiln/kernel/net/freelist"
)

// Pool is what netstack keeps packets, segments and their memory in.
type Pool = freelist.Pool

// Mutex has no place for gVisor's static checks, and can be inlined.
type Mutex = sync.Mutex
