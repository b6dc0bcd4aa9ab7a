//! What `--help` prints.

pub(crate) const TEXT: &str = "\
Says who the user is and what happened, and delivers it to Whisperr.

Usage: whisperr [options] COMMAND

  track EVENT [--user ID] [NAME=TEXT | NAME:=JSON]...
                        an event, about the current user unless --user says
                        otherwise; EVENT is snake_case
  identify USER [--email A] [--phone P] [--push-token T]
           [--trait NAME=TEXT | --trait NAME:=JSON]...
           [--preferred-channel email|sms|push]
           [--channel CHANNEL:ADDRESS[,opted-out][,verified]]...
                        who the user is, from here on
  reset                 forgets the current user
  push-token TOKEN [--kind fcm|apns|expo|onesignal_sub]
             [--platform ios|android|web] [--push-env production|sandbox]
                        the device's push token, for the current user
  opt-out               deletes the queue and records nothing until opt-in
  opt-in                records again
  launch VERSION BUILD  the application was started in this version: reports an
                        installation or an update, once
  foreground            it came to the foreground, or the device woke up
  background            it left the foreground, or the device goes to sleep: says
                        how long it was there. Both belong to one session from
                        launch to launch, or to the next boot; Linux only
  screen NAME           a screen is shown
  flush                 delivers what is owed
  status                what is owed, as one JSON object
  pipe                  reads one JSON object a line:
                          {\"track\":\"door_opened\",\"user\":\"u1\",
                           \"properties\":{},\"context\":{}}
                          {\"identify\":\"u1\",\"traits\":{},\"email\":\"\",\"phone\":\"\",
                           \"push_token\":\"\",\"preferred_channel\":\"sms\",
                           \"channels\":[{\"type\":\"sms\",\"address\":\"\",
                            \"opted_in\":true,\"verified\":true}]}
                        and answers each as soon as it is owed:
                          {\"line\":1,\"ok\":true,\"message_id\":\"...\"}
                          {\"line\":2,\"ok\":false,\"error\":\"...\"}
                        Blank lines count and are not answered.

Options, before or after the command:
  --key KEY             ingestion key (else WHISPERR_API_KEY)
  --base-url URL        server (else WHISPERR_BASE_URL, else
                        https://api.whisperr.net)
  --queue DIR           queue directory (else WHISPERR_QUEUE_DIR, else one
                        for this key under the user's state directory)
  --max-queue N         most operations in the queue (default 100000); past it
                        track evicts the oldest event, pipe waits for room
  --timeout S           seconds to deliver before the command ends; what is
                        still owed stays in the queue. Default 10 for flush and
                        pipe, which also wait so long for room in the queue; 2
                        for the commands that say one thing, which end at the
                        first failed attempt. 0 leaves delivery to a later command
  -h, --help            prints this
  -V, --version         prints the version

status needs no key where the queue directory is given.

Exit codes: 0 everything was accepted, and is delivered or owed (standard error
says how much is owed); 1 something was refused, by whisperr or by the server;
2 wrong usage; 3 flush ended with operations still owed.
";
