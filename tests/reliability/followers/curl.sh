#!/usr/bin/env bash
# Follow the events with curl in a loop.
last=0
while :; do
    id="" name="" data=""
    while IFS= read -r line; do
        case $line in
        "id: "*) id=${line#id: } ;;
        "event: "*) name=${line#event: } ;;
        "data: "*) data=${line#data: } ;;
        "")
            last=$id
            if [ -n "$data" ] && [ "$name" != caught-up ] && [ "$name" != bookmark ]; then echo "$id"; fi
            name="" data=""
            ;;
        esac
    done < <(curl --silent --no-buffer --fail --header "Last-Event-ID: $last" "$1/api/v1/events/stream")
    sleep 0.1
done
