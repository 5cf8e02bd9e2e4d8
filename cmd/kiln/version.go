package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print Kiln's version",
		Long:    "Version prints Kiln's version, the revision it was built from, and the Go release it was built with.",
		Example: "  kiln version",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			fmt.Fprintln(a.out, versionLine(debug.ReadBuildInfo()))
			return nil
		},
	}
}

// versionLine describes a build in one line.
func versionLine(info *debug.BuildInfo, ok bool) string {
	version, revision := "(devel)", ""
	if ok {
		if info.Main.Version != "" {
			version = info.Main.Version
		}
		settings := make(map[string]string)
		for _, s := range info.Settings {
			settings[s.Key] = s.Value
		}
		if r := settings["vcs.revision"]; r != "" {
			revision = " " + r[:min(len(r), 12)]
			if settings["vcs.modified"] == "true" {
				revision += "+changes"
			}
		}
	}
	return fmt.Sprintf("kiln %s%s %s %s/%s", version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
