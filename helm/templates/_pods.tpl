{{/*
What all pods share: the restricted Pod Security Standard and no token. No service links either: a Service with the
name dummy-server would put variables of the form DUMMY_SERVER_* into the environment, where the server has its own.
*/}}
{{- define "dummy-server.podSettings" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "dummy-server.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  capabilities:
    drop: ["ALL"]
  readOnlyRootFilesystem: true
{{- end -}}

{{/* Seconds from SIGTERM to SIGKILL: both phases of the drain and a margin. */}}
{{- define "dummy-server.gracePeriod" -}}
{{- add .Values.drain.delaySeconds .Values.drain.timeoutSeconds .Values.drain.marginSeconds -}}
{{- end -}}

{{/* The address of the Service in the form that loadgen takes: scheme://host:port, for a protocol of the Service. */}}
{{- define "dummy-server.serviceUrl" -}}
{{- $protocol := index . 0 -}}
{{- $root := index . 1 -}}
{{- $port := (index $root.Values.service $protocol).port -}}
{{ printf "%s://%s.%s.svc:%d" $protocol (include "dummy-server.fullname" $root) $root.Release.Namespace (int $port) }}
{{- end -}}

{{/* What loadgen loads. */}}
{{- define "dummy-server.loadgenTarget" -}}
{{- with .Values.loadgen -}}
{{- .target | default (printf "%s%s" (include "dummy-server.serviceUrl" (list .protocol $)) .path) -}}
{{- end -}}
{{- end -}}
