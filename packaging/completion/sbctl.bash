# Completion of sbctl for bash.
_sbctl()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} word command='' words
    COMPREPLY=()
    case $prev in
    --ca | --cert | --key | --socket)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    --url | --token | --by | --window | --interval | --reason | --request-id) return ;;
    esac
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in status | agents | top | percentiles) command=$word ;; esac
    done
    words="--url --socket --ca --cert --key --token --json --version --help"
    case $command in
    '') words="status agents top percentiles $words" ;;
    agents) words="forget --reason --request-id $words" ;;
    top) words="--once --interval $words" ;;
    percentiles) words="--by --window $words" ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _sbctl sbctl
