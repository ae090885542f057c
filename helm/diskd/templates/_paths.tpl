{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{- /*
Fails where a class (.class of a dict with .root) puts volumes on a path that is the agent container's
own: they would be gone with the container. Parameters NAME_FILE are only read.
*/ -}}
{{- define "diskd.checkPaths" -}}
{{- $agent := .root.Values.agent -}}
{{- $class := .class.name -}}
{{- $kept := concat (list $agent.stateDir "/dev") (default list $agent.hostPaths) -}}
{{- range $key, $value := .class.parameters -}}
{{- $path := trimPrefix "dir:" $value -}}
{{- if and (hasPrefix "param." $key) (not (hasSuffix "_file" $key)) (hasPrefix "/" $path) -}}
{{- $path = clean $path -}}
{{- $found := false -}}
{{- range $kept -}}
{{- if or (eq $path .) (hasPrefix (printf "%s/" .) $path) -}}
{{- $found = true -}}
{{- end -}}
{{- end -}}
{{- if not $found -}}
{{- fail (printf "storageClasses: class %s has %s: %s, which the agent's container does not have from its node: volumes there would be lost when the container ends. Add the directory to agent.hostPaths, or use one below agent.stateDir (%s)" $class $key $value $agent.stateDir) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
