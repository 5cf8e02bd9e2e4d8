package build

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

func skipUnlessGuestRunsHere(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("the program is built for linux/amd64 and cannot run on " + runtime.GOOS + "/" + runtime.GOARCH)
	}
}

// Pointers into a stack stay right although the hook moves the stack.
func TestPointersSurviveStackGrowth(t *testing.T) {
	skipUnlessGuestRunsHere(t)
	got := runOnHost(t, options(t, "testdata/pointers", "."))
	if want := "calls 2800 corrupted 0 moved true"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The same without optimisations, which makes the frames of the nosplit
// functions as large as they get.
func TestPointersSurviveWithoutOptimisation(t *testing.T) {
	skipUnlessGuestRunsHere(t)
	o := options(t, "testdata/pointers", ".")
	o.Flags = []string{"-gcflags=all=-N -l"}
	got := runOnHost(t, o)
	if want := "calls 2800 corrupted 0 moved true"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The same with the other known release, which the go command may have to
// fetch.
func TestPointersSurviveWithOtherRelease(t *testing.T) {
	skipUnlessGuestRunsHere(t)
	if testing.Short() {
		t.Skip("compiles the standard library with another Go release, skipped by -short")
	}
	o := options(t, "testdata/pointers", ".")
	other := "go1.27.0"
	if strings.HasPrefix(runtime.Version(), "go1.27") {
		other = "go1.26.8"
	}
	o.Env = append(os.Environ(), "GOTOOLCHAIN="+other)
	cmd := exec.Command("go", "version")
	cmd.Env = o.Env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("%s cannot be had here: %s", other, out)
	}
	got := runOnHost(t, o)
	if want := "calls 2800 corrupted 0 moved true"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if r, f := mustBuild(t, o); r.GoVersion != other || f.Entry < imageBase {
		t.Errorf("built with %s, entry %#x", r.GoVersion, f.Entry)
	}
}

// A package that sorts before the kernel's and opens a file in its init finds
// the kernel up.
func TestKernelIsUpBeforePackagesAreInitialised(t *testing.T) {
	skipUnlessGuestRunsHere(t)
	if got := runOnHost(t, options(t, "testdata/early", ".")); got != "<nil>" {
		t.Errorf("opening the kernel's file gave %s", got)
	}
}
