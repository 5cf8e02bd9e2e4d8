//go:build kiln_profile

package build

// Kernels that are built by a kiln with this tag make profiles of themselves.
func init() { elfKernelTags = append(elfKernelTags, "kiln_profile") }
