# An ESME made with Net::SMPP: does what its scenario says, and tells what came back, as JSON.
#
# perl client.pl '{"port": 2775, "bind": "transceiver", "login": {...}, "steps": [["submit_sm", {...}], ...], "deliveries": 1}'
# `login` are parameters of Net::SMPP's constructor. A step whose fields have "of": N gets the message_id that step N was
# answered with. Ends with code 0 when every step is answered and that many deliver_sm have come; 1 after `silence_s`.

use strict;
use warnings;
use JSON::PP;
use Net::SMPP;

my $json     = JSON::PP->new->latin1->canonical;
my $scenario = $json->decode( $ARGV[0] );
my %report   = ( bind => undef, answers => [], deliveries => [], unbind => undef );

sub finish { print $json->encode( \%report ), "\n"; exit shift }
$SIG{ALRM} = sub { $report{error} = 'silence'; finish(1) };
alarm $scenario->{silence_s};

my $login = $scenario->{login};
my $smpp  = Net::SMPP->new_connect( '127.0.0.1', port => $scenario->{port}, async => 1, %$login )
    or die "no connection: $!";
my $bind = "bind_$scenario->{bind}";
$smpp->$bind();

# The next response; on the way to it deliver_sm is kept and answered, and enquire_link answered.
sub response {
    while ( my $pdu = $smpp->read_pdu() ) {
        return $pdu if $pdu->{cmd} & 0x80000000;
        request($pdu);
    }
    $report{error} = 'closed';
    finish(1);
}

sub request {
    my ($pdu) = @_;
    if ( $pdu->{cmd} == Net::SMPP::CMD_deliver_sm ) {
        my %told;
        for my $name (qw(source_addr destination_addr esm_class data_coding short_message receipted_message_id)) {
            $told{$name} = $pdu->{$name};
        }
        push @{ $report{deliveries} }, \%told;
        $smpp->deliver_sm_resp( seq => $pdu->{seq}, message_id => '' );
    }
    elsif ( $pdu->{cmd} == Net::SMPP::CMD_enquire_link ) {
        $smpp->enquire_link_resp( seq => $pdu->{seq} );
    }
}

my $bound = response();
$report{bind} = {
    cmd       => $bound->{cmd},
    status    => $bound->{status},
    system_id => $bound->{system_id},
    version   => defined $bound->{sc_interface_version} ? ord $bound->{sc_interface_version} : undef,
};
finish(0) if $bound->{status};

for my $step ( @{ $scenario->{steps} } ) {
    my ( $command, $fields ) = @$step;
    my $of = delete $fields->{of};
    $fields->{message_id} = $report{answers}[$of]{message_id} if defined $of;
    my $sequence = $smpp->$command(%$fields);
    my $answer   = response();
    die "an answer to $answer->{seq}, not to $sequence" if $answer->{seq} != $sequence;
    my %told = ( status => $answer->{status} );
    for my $name (qw(message_id message_state error_code final_date)) {
        $told{$name} = $answer->{$name} if defined $answer->{$name};
    }
    push @{ $report{answers} }, \%told;
}

while ( @{ $report{deliveries} } < $scenario->{deliveries} ) {
    my $pdu = $smpp->read_pdu() or die 'closed';
    request($pdu);
}
$smpp->unbind();
$report{unbind} = response()->{status};
finish(0);
